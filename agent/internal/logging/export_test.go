package logging

import "time"

// RetryNow ends the pause before a file is opened again.
func RetryNow(f *File) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.retry = time.Time{}
}

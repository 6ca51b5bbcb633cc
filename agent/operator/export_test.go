package operator

// Cheap makes hashes that take no time, for tests that are not about them.
func Cheap(c Config) Config {
	c.cost = cost{time: 1, memory: 8}
	return c
}

// Decode is decode.
func Decode(b []byte) error {
	_, err := decode(b)
	return err
}

// SyncDir has f called in the place of syncDir, with it, and returns what undoes that.
func SyncDir(f func(dir string, sync func(string) error) error) (undo func()) {
	sync := syncDir
	syncDir = func(dir string) error { return f(dir, sync) }
	return func() { syncDir = sync }
}

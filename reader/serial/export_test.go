package serial

// Abandon lets the ports go without a word to the modules, as a program does
// that crashes.
func (d *Driver) Abandon() {
	for _, s := range d.slots {
		s.turn <- struct{}{}
		_ = s.disconnect(nil, nil)
		s.end()
	}
}

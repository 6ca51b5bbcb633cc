package picture

// Interpreted returns a Decoder that works as where wazero has no compiler.
func Interpreted(cfg *Config) *Decoder {
	d := New(cfg)
	d.interpret = true
	return d
}

// Module is the embedded sandbox.
var Module = module

// ReadSize reads the sizes of a picture as Decode does before it decodes.
func ReadSize(data []byte) (width, height uint32, components int, err error) {
	s, err := readSize(data)
	return s.width, s.height, s.components, err
}

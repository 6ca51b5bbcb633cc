package picture

import (
	"context"
	_ "embed" // the module
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/chamthe/chamthe/icao/face"
)

// module is OpenJPEG, as openjpeg/build.sh compiles it.
//
//go:embed openjpeg/openjpeg.wasm
var module []byte

// pageSize is that of WebAssembly, and maxMemory what an instance may grow to;
// the module states the same limit.
const (
	pageSize  = 64 << 10
	maxMemory = 64 << 20
)

// Answers of the module's function decode, see openjpeg/picture.c.
const (
	answerDecoded = iota
	answerNoMemory
	answerBadHeader
	answerTooLarge
	answerBadData
)

// Layout of the module's account of a picture, in words of 32 bits.
const (
	accountHead         = 6
	accountPerComponent = 8
	accountWords        = accountHead + maxComponents*accountPerComponent
)

// component is one plane of samples of a decoded picture.
type component struct {
	width, height uint32
	dx, dy        uint32 // distance of its samples on the reference grid
	bits          uint32
	signed        bool
	alpha         uint32 // what it says of colours: notAlpha, opacity, or something else
	samples       []byte // int32, little-endian; in the memory of the instance
}

// planes are the components of a decoded picture, on a reference grid from
// (x0, y0) on.
type planes struct {
	width, height uint32
	x0, y0        uint32
	space         int32
	components    []component
}

// sandbox is the compiled module, ready to be instantiated. It is safe for
// concurrent use.
type sandbox struct {
	runtime wazero.Runtime
	cache   wazero.CompilationCache // nil without a folder for it
	module  wazero.CompiledModule
}

// newSandbox compiles the module, which takes some tenths of a second of one
// processor, or reads it from the folder cacheDir ("" for none).
func newSandbox(ctx context.Context, cacheDir string, interpret bool) (_ *sandbox, err error) {
	cfg := wazero.NewRuntimeConfig() // compiles where it can
	if interpret {
		cfg = wazero.NewRuntimeConfigInterpreter()
	}
	// Without WithCloseOnContextDone the end of a context would be noticed when
	// the picture is done.
	cfg = cfg.WithMemoryLimitPages(maxMemory / pageSize).WithCloseOnContextDone(true)
	s := &sandbox{}
	defer func() {
		if err != nil {
			_ = s.close(ctx)
		}
	}()
	if cacheDir != "" {
		if s.cache, err = wazero.NewCompilationCacheWithDir(cacheDir); err != nil {
			return nil, fmt.Errorf("picture: compilation cache: %w", err)
		}
		cfg = cfg.WithCompilationCache(s.cache)
	}
	s.runtime = wazero.NewRuntimeWithConfig(ctx, cfg)
	if s.module, err = s.runtime.CompileModule(ctx, module); err != nil {
		return nil, fmt.Errorf("picture: compile decoder: %w", err)
	}
	// The module can reach nothing because it imports nothing.
	if n := len(s.module.ImportedFunctions()) + len(s.module.ImportedMemories()); n != 0 {
		return nil, fmt.Errorf("picture: decoder has %d imports", n)
	}
	return s, nil
}

func (s *sandbox) close(ctx context.Context) (err error) {
	if s.runtime != nil {
		err = s.runtime.Close(ctx)
	}
	if s.cache != nil {
		err = errors.Join(err, s.cache.Close(ctx))
	}
	return err
}

// errTrap reports an instance that ended by itself: an access out of bounds, an
// overflow of its stack, an assertion. The cause is left out, since it tells
// nothing but where in the module it happened.
var errTrap = fmt.Errorf("%w: decoder trapped", face.ErrPicture)

// decode runs one picture through a new instance and gives what came out to
// use, whose argument is valid until use returns. The sizes were compared with
// the limits before.
func (s *sandbox) decode(ctx context.Context, data []byte, jp2 bool, limits Limits, use func(planes) error) error {
	m, err := s.runtime.InstantiateModule(ctx, s.module, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		return stopped(ctx, fmt.Errorf("picture: start decoder: %w", err))
	}
	// The context may be done; closing is not to be.
	defer m.Close(context.WithoutCancel(ctx))

	at, err := call(ctx, m, "room", uint64(len(data)))
	if err != nil {
		return err
	}
	if at == 0 || !m.Memory().Write(at, data) {
		return fmt.Errorf("%w: no memory for it", face.ErrTooLarge)
	}
	var file uint64
	if jp2 {
		file = 1
	}
	answer, err := call(ctx, m, "decode", uint64(at), uint64(len(data)), file, uint64(limits.Side), uint64(limits.Pixels))
	if err != nil {
		return err
	}
	switch answer {
	case answerDecoded:
	case answerNoMemory, answerTooLarge:
		return face.ErrTooLarge
	case answerBadHeader:
		return fmt.Errorf("%w: header", face.ErrPicture)
	default:
		return fmt.Errorf("%w: data", face.ErrPicture)
	}
	account, err := call(ctx, m, "report")
	if err != nil {
		return err
	}
	p, err := readAccount(m.Memory(), account)
	if err != nil {
		return err
	}
	return use(p)
}

// call calls a function of the module whose results are at most one word.
func call(ctx context.Context, m api.Module, name string, args ...uint64) (uint32, error) {
	out, err := m.ExportedFunction(name).Call(ctx, args...)
	if err != nil {
		return 0, stopped(ctx, errTrap)
	}
	return api.DecodeU32(out[0]), nil
}

// stopped returns why the context is done, if it is, and err otherwise.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// readAccount reads the account of a picture. The instance wrote it, and may
// have been led astray by the picture: what it says is compared with the memory
// that there is, and with the limits of a picture again.
func readAccount(memory api.Memory, at uint32) (planes, error) {
	raw, ok := memory.Read(at, 4*accountWords)
	if !ok {
		return planes{}, errTrap
	}
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(raw[4*i:]) }
	p := planes{width: word(0), height: word(1), x0: word(2), y0: word(3), space: int32(word(4))}
	n := word(5)
	if n < 1 || n > maxComponents || p.width < 1 || p.height < 1 {
		return planes{}, errTrap
	}
	for k := range int(n) {
		i := accountHead + k*accountPerComponent
		c := component{
			width: word(i), height: word(i + 1), dx: word(i + 2), dy: word(i + 3),
			bits: word(i + 4), signed: word(i+5) != 0, alpha: word(i + 6),
		}
		if c.width < 1 || c.height < 1 || c.dx < 1 || c.dy < 1 || c.width > maxMemory/4 || c.height > maxMemory/4 {
			return planes{}, errTrap
		}
		if c.bits < 1 || c.bits > maxBits {
			return planes{}, fmt.Errorf("%w: %d bits", face.ErrFormat, c.bits)
		}
		samples := 4 * uint64(c.width) * uint64(c.height)
		if samples > maxMemory {
			return planes{}, errTrap
		}
		if c.samples, ok = memory.Read(word(i+7), uint32(samples)); !ok {
			return planes{}, errTrap
		}
		p.components = append(p.components, c)
	}
	return p, nil
}

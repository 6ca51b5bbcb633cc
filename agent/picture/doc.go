// Package picture makes the portrait of a document visible: it decodes the JPEG
// and JPEG 2000 pictures that icao/face finds in DG2.
//
// A picture comes from a card that anybody may have made, and decoders of
// pictures are where such bytes do harm. So a picture is decoded after the hash
// of its data group was found to be the signed one ([Decoder.Portrait] insists;
// whoever calls [Decoder.Decode] vouches for it), its sizes are read and limited
// before anything is decoded, and the time is limited. JPEG is decoded by the
// standard library. JPEG 2000 is decoded by OpenJPEG, which is C and has had its
// share of overflows: it runs as a WebAssembly module in tetratelabs/wazero,
// with 64 MiB of memory of its own, a new instance for each picture, and without
// a single import: no file, no clock, no random number, no way to call the host.
// What a picture can achieve there is a wrong picture or none. Colours are put
// together outside, in Go.
//
// A picture that cannot be decoded is an error that errors.Is tells apart
// ([face.ErrFormat], [face.ErrTooLarge], [face.ErrPicture]) and no reason to
// distrust a document; nothing of the reading depends on it.
//
// The package is not icao/face's neighbour, although it decodes what that one
// finds: icao is pure (no os, no net, no goroutine), and the runtime of the
// sandbox is not. The same module is the same decoder on every system, without
// cgo; where wazero has no compiler, it interprets, some fifteen times slower.
//
// Compiling the sandbox takes some 0.3 s, once, and 30 MiB; a portrait takes 0.1 s
// and some 15 MiB meanwhile, the largest picture that is allowed some 100 MiB.
//
// Deliberately not done: ICC profiles are ignored (their colours are taken for
// sRGB or grey, which a desk's screen does not tell apart), and CMYK and e-sYCC
// are refused, being colour spaces of printing presses and of cameras.
//
// The module is built by openjpeg/build.sh from Debian's source package.
package picture

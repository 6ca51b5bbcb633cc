package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/chamthe/chamthe/agent/api/internal/atomicfile"
)

// ErrClientFile reports a file of clients that cannot be used: it is malformed, or
// others on this computer may write to it. Nobody in it is let in.
var ErrClientFile = errors.New("api: file of clients cannot be used")

// maxClientFile bounds the file; 64 clients need less than 64 KiB.
const maxClientFile = 256 << 10

// A ClientFile keeps the clients in one JSON file, 0600, that is replaced as a
// whole. It is the agent's own: nobody edits it. It holds no token, only hashes.
type ClientFile struct {
	Path string
}

type clientFile struct {
	Version int    `json:"version"`
	Clients []Kept `json:"clients"`
}

// Load reads the file. When there is none, there are no clients.
func (f ClientFile) Load() ([]Kept, error) {
	file, err := os.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	// Who can write here can let himself in.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("%w: others may write to it", ErrClientFile)
	}
	b, err := io.ReadAll(io.LimitReader(file, maxClientFile+1))
	if err != nil {
		return nil, err
	}
	return decodeClients(b)
}

func decodeClients(b []byte) ([]Kept, error) {
	if len(b) > maxClientFile {
		return nil, fmt.Errorf("%w: it is too large", ErrClientFile)
	}
	var c clientFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("%w: malformed", ErrClientFile)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows its end", ErrClientFile)
	}
	if c.Version != 1 {
		return nil, fmt.Errorf("%w: version %d", ErrClientFile, c.Version)
	}
	return c.Clients, nil
}

// Save replaces the file.
func (f ClientFile) Save(list []Kept) error {
	b, err := json.MarshalIndent(clientFile{Version: 1, Clients: list}, "", "\t")
	if err != nil {
		return err
	}
	return atomicfile.Write(f.Path, append(b, '\n'), 0o600, -1)
}

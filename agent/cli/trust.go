package cli

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/trust"
)

// maxTrustFile bounds a file of certificates.
const maxTrustFile = 4 << 20

// loadTrust reads trust anchors: files of DER or PEM certificates, and
// directories of such files (*.der, *.cer, *.crt, *.pem). Naming a file here is
// the administrator's word that its issuer is to be trusted.
func loadTrust(paths []string) (*trust.Pool, error) {
	pool := trust.NewPool()
	for _, path := range paths {
		files := []string{path}
		if st, err := os.Stat(path); err != nil {
			return nil, fault.New(fault.BadTrust, err)
		} else if st.IsDir() {
			files = nil
			for _, ext := range []string{"*.der", "*.cer", "*.crt", "*.pem"} {
				found, err := filepath.Glob(filepath.Join(path, ext))
				if err != nil {
					return nil, fault.New(fault.BadTrust, err)
				}
				files = append(files, found...)
			}
			if len(files) == 0 {
				return nil, fault.New(fault.BadTrust, fmt.Errorf("no certificate in directory %s", path))
			}
		}
		for _, f := range files {
			if err := addAnchors(pool, f); err != nil {
				return nil, fault.New(fault.BadTrust, fmt.Errorf("%s: %w", f, err))
			}
		}
	}
	return pool, nil
}

func addAnchors(pool *trust.Pool, file string) error {
	st, err := os.Stat(file)
	if err != nil {
		return err
	}
	if st.Size() > maxTrustFile {
		return errors.New("file is too large")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var ders [][]byte
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			ders = append(ders, block.Bytes)
		}
	}
	if len(ders) == 0 {
		ders = [][]byte{b}
	}
	for _, der := range ders {
		c, err := cms.ParseCertificate(der)
		if err != nil {
			return err
		}
		if err := pool.Add(c, filepath.Base(file)); err != nil {
			return err
		}
	}
	return nil
}

package central

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/trust"
)

// maxCertificate bounds one certificate file.
const maxCertificate = 64 << 10

// ErrNoAnchors reports a trust directory without any certificate. A service
// without anchors would refuse every chip; that is a mistake, not a policy.
var ErrNoAnchors = errors.New("central: no trust anchors")

// ReadAnchors reads every file of dir that ends in .der, .cer or .crt as one
// DER certificate of a country signing CA: a root, which is trusted because it
// lies there, or a link, which needs the certificate that signed it. One
// unusable certificate fails the whole: a state that is missing quietly is
// worse than a service that does not start.
func ReadAnchors(dir fs.FS) (*trust.Pool, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, fmt.Errorf("central: trust directory: %w", err)
	}
	pool := trust.NewPool()
	var links []named
	for _, e := range entries {
		switch strings.ToLower(path.Ext(e.Name())) {
		case ".der", ".cer", ".crt":
		default:
			continue
		}
		info, err := fs.Stat(dir, e.Name()) // follows links
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxCertificate {
			return nil, fmt.Errorf("central: trust anchor %s: not a regular file of at most %d bytes", e.Name(), maxCertificate)
		}
		der, err := fs.ReadFile(dir, e.Name())
		if err != nil {
			return nil, fmt.Errorf("central: trust anchor: %w", err)
		}
		c, err := cms.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("central: trust anchor %s: %w", e.Name(), err)
		}
		err = pool.Add(c, e.Name())
		if errors.Is(err, trust.ErrNotSelfSigned) {
			links = append(links, named{c, e.Name()})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("central: trust anchor %s: %w", e.Name(), err)
		}
	}
	if err := addLinks(pool, links); err != nil {
		return nil, err
	}
	if pool.Len() == 0 {
		return nil, ErrNoAnchors
	}
	return pool, nil
}

type named struct {
	certificate *cms.Certificate
	name        string
}

// addLinks adds link certificates, which may sign each other, in an order that
// works.
func addLinks(pool *trust.Pool, links []named) error {
	for len(links) > 0 {
		var left []named
		var last error
		for _, l := range links {
			if err := pool.AddLink(l.certificate, l.name); err != nil {
				left, last = append(left, l), fmt.Errorf("central: trust anchor %s: %w", l.name, err)
			}
		}
		if len(left) == len(links) {
			return last
		}
		links = left
	}
	return nil
}

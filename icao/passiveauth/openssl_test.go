package passiveauth_test

import (
	"crypto"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/cms/cmstest"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/passiveauth"
	"github.com/chamthe/chamthe/icao/result"
	"github.com/chamthe/chamthe/icao/trust"
)

// office is an issuing state whose keys, certificates and signatures are all made
// by the openssl program: the issuer that is not ours.
type office struct {
	t   *testing.T
	dir string
}

func newOffice(t *testing.T) office {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no openssl program, and CI=true")
		}
		t.Skip("no openssl program")
	}
	o := office{t, t.TempDir()}
	o.write("conf", []byte(`[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[ds]
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[typed]
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
2.23.136.1.1.6.2 = ASN1:SEQUENCE:types
[types]
version = INTEGER:0
list = SET:codes
[codes]
a = PRINTABLESTRING:P
b = PRINTABLESTRING:AC
`))
	return o
}

func (o office) path(name string) string { return filepath.Join(o.dir, name) }

func (o office) write(name string, b []byte) {
	o.t.Helper()
	if err := os.WriteFile(o.path(name), b, 0o600); err != nil {
		o.t.Fatal(err)
	}
}

func (o office) read(name string) []byte {
	o.t.Helper()
	b, err := os.ReadFile(o.path(name))
	if err != nil {
		o.t.Fatal(err)
	}
	return b
}

func (o office) run(args ...string) {
	o.t.Helper()
	cmd := exec.CommandContext(o.t.Context(), "openssl", args...)
	cmd.Dir = o.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Fatalf("openssl %s: %v\n%s", args[0], err, out)
	}
}

// key makes a private key: "rsa 2048", "dsa 1024", or a curve with its encoding.
func (o office) key(name, kind string) {
	o.t.Helper()
	out := name + ".key"
	switch what, size, _ := strings.Cut(kind, " "); what {
	case "rsa":
		o.run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:"+size, "-out", out)
	case "dsa":
		o.run("genpkey", "-genparam", "-algorithm", "DSA", "-pkeyopt", "dsa_paramgen_bits:"+size, "-out", name+".params")
		o.run("genpkey", "-paramfile", name+".params", "-out", out)
	default:
		o.run("ecparam", "-name", what, "-genkey", "-noout", "-param_enc", size, "-out", out)
	}
}

// root makes a self-signed certificate, and issue one that another key signs.
func (o office) root(name, subject string, sign ...string) {
	o.t.Helper()
	o.run(append([]string{
		"req", "-x509", "-new", "-key", name + ".key", "-subj", subject, "-days", "3650", "-set_serial", "1",
		"-config", "conf", "-extensions", "ca", "-out", name + ".pem",
	}, sign...)...)
	o.run("x509", "-in", name+".pem", "-outform", "DER", "-out", name+".der")
}

func (o office) issue(name, subject, ca, extensions, out string, sign ...string) {
	o.t.Helper()
	o.run("req", "-new", "-key", name+".key", "-subj", subject, "-config", "conf", "-out", name+".csr")
	o.run(append([]string{
		"x509", "-req", "-in", name + ".csr", "-CA", ca + ".pem", "-CAkey", ca + ".key", "-set_serial", "2", "-days", "3000",
		"-extfile", "conf", "-extensions", extensions, "-out", out + ".pem",
	}, sign...)...)
	o.run("x509", "-in", out+".pem", "-outform", "DER", "-out", out+".der")
}

func (o office) certificate(name string) *cms.Certificate { return parse(o.t, o.read(name+".der")) }

// securityObject makes an LDSSecurityObject (Doc 9303-10, 4.6.2.3), of version 1
// when an LDS version is given.
func securityObject(t testing.TB, h crypto.Hash, version string, groups map[int][]byte) []byte {
	order := slices.Sorted(maps.Keys(groups))
	if version == "" {
		return cmstest.SecurityObject(t, h, order, groups)
	}
	return cmstest.Build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			b.AddBytes(cmstest.Digest(t, h))
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, n := range order {
					sum := h.New()
					sum.Write(groups[n])
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1Int64(int64(n))
						b.AddASN1OctetString(sum.Sum(nil))
					})
				}
			})
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, v := range []string{version, "040000"} {
					b.AddASN1(asn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(v)) })
				}
			})
		})
	})
}

// TestOpenSSLDocuments: documents that OpenSSL issued from the CSCA to EF.SOD.
func TestOpenSSLDocuments(t *testing.T) {
	t.Parallel()
	pss := func(salt, mgf string) []string {
		return []string{"-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:" + salt, "-sigopt", "rsa_mgf1_md:" + mgf}
	}
	pssCMS := func(salt, mgf string) []string {
		return []string{"-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:" + salt, "-keyopt", "rsa_mgf1_md:" + mgf}
	}
	const explicit, named = " explicit", " named_curve"
	for _, tt := range []struct {
		name             string
		csca             string // kind of key
		cscaSign         []string
		ds               string
		cms              []string
		groups           crypto.Hash
		version          string // of the LDS; "": version 0 of the object
		extensions       string // of the signer; "": ds
		outside          bool   // the signer's certificate is not in EF.SOD
		link             bool   // a link certificate leads to the CSCA
		signature, chain string
		weak             []string
		docType          result.Check
	}{
		{
			name: "RSA PKCS #1, LDS 0", csca: "rsa 3072", cscaSign: []string{"-sha256"}, ds: "rsa 2048", cms: []string{"-md", "sha256"}, groups: crypto.SHA256,
			signature: "RSASSA-PKCS1-v1_5 SHA-256 RSA-2048", chain: "RSASSA-PKCS1-v1_5 SHA-256 RSA-3072",
		},
		{
			name: "RSA PKCS #1 SHA-512, LDS 1", csca: "rsa 4096", cscaSign: []string{"-sha512"}, ds: "rsa 2048", cms: []string{"-md", "sha512"}, groups: crypto.SHA512, version: "0108",
			signature: "RSASSA-PKCS1-v1_5 SHA-512 RSA-2048", chain: "RSASSA-PKCS1-v1_5 SHA-512 RSA-4096",
		},
		{
			name: "RSA PSS with its own salt", csca: "rsa 3072", cscaSign: append([]string{"-sha256"}, pss("20", "sha256")...),
			ds: "rsa 2048", cms: append([]string{"-md", "sha384"}, pssCMS("16", "sha384")...), groups: crypto.SHA384, version: "0108",
			signature: "RSASSA-PSS SHA-384 salt 16 RSA-2048", chain: "RSASSA-PSS SHA-256 salt 20 RSA-3072",
		},
		{
			name: "RSA PSS with another mask hash", csca: "rsa 3072", cscaSign: append([]string{"-sha512"}, pss("64", "sha256")...),
			ds: "rsa 2048", cms: append([]string{"-md", "sha256"}, pssCMS("32", "sha1")...), groups: crypto.SHA256,
			signature: "RSASSA-PSS SHA-256 MGF1 SHA-1 salt 32 RSA-2048", chain: "RSASSA-PSS SHA-512 MGF1 SHA-256 salt 64 RSA-3072",
		},
		{
			name: "CSCA PKCS #1, signer PSS", csca: "rsa 3072", cscaSign: []string{"-sha256"}, ds: "rsa 2048", cms: append([]string{"-md", "sha256"}, pssCMS("32", "sha256")...), groups: crypto.SHA256,
			signature: "RSASSA-PSS SHA-256 salt 32 RSA-2048", chain: "RSASSA-PKCS1-v1_5 SHA-256 RSA-3072",
		},
		{
			name: "CSCA PSS, signer PKCS #1", csca: "rsa 3072", cscaSign: append([]string{"-sha256"}, pss("32", "sha256")...), ds: "rsa 2048", cms: []string{"-md", "sha256"}, groups: crypto.SHA256,
			signature: "RSASSA-PKCS1-v1_5 SHA-256 RSA-2048", chain: "RSASSA-PSS SHA-256 salt 32 RSA-3072",
		},
		{
			name: "brainpool, explicit, by key identifier", csca: "brainpoolP384r1" + explicit, cscaSign: []string{"-sha384"},
			ds: "brainpoolP256r1" + explicit, cms: []string{"-md", "sha256", "-keyid"}, groups: crypto.SHA256, version: "0108",
			signature: "ECDSA SHA-256 brainpoolP256r1", chain: "ECDSA SHA-384 brainpoolP384r1",
		},
		{
			name: "NIST, named", csca: "secp521r1" + named, cscaSign: []string{"-sha512"}, ds: "prime256v1" + named, cms: []string{"-md", "sha224"}, groups: crypto.SHA224,
			signature: "ECDSA SHA-224 P-256", chain: "ECDSA SHA-512 P-521",
		},
		{
			name: "brainpool under RSA, signer outside", csca: "rsa 3072", cscaSign: []string{"-sha256"}, ds: "brainpoolP512r1" + explicit, cms: []string{"-md", "sha512", "-nocerts"}, groups: crypto.SHA512, outside: true,
			signature: "ECDSA SHA-512 brainpoolP512r1", chain: "RSASSA-PKCS1-v1_5 SHA-256 RSA-3072",
		},
		{
			name: "signer outside, by key identifier", csca: "secp384r1" + explicit, cscaSign: []string{"-sha384"}, ds: "secp384r1" + explicit, cms: []string{"-md", "sha384", "-nocerts", "-keyid"}, groups: crypto.SHA256, outside: true,
			signature: "ECDSA SHA-384 P-384", chain: "ECDSA SHA-384 P-384",
		},
		{
			name: "over a link certificate", csca: "brainpoolP256r1" + explicit, cscaSign: []string{"-sha256"}, ds: "secp224r1" + explicit, cms: []string{"-md", "sha256"}, groups: crypto.SHA256, link: true,
			signature: "ECDSA SHA-256 P-224", chain: "ECDSA SHA-256 brainpoolP256r1",
		},
		{
			name: "document types", csca: "brainpoolP256r1" + explicit, cscaSign: []string{"-sha256"}, ds: "brainpoolP256r1" + explicit, cms: []string{"-md", "sha256"}, groups: crypto.SHA256, extensions: "typed",
			signature: "ECDSA SHA-256 brainpoolP256r1", chain: "ECDSA SHA-256 brainpoolP256r1",
			docType: unknown(passiveauth.DocumentTypeMismatch, ""), // DG1 is that of a card
		},
		{
			name: "DSA", csca: "rsa 3072", cscaSign: []string{"-sha256"}, ds: "dsa 1024", cms: []string{"-md", "sha256"}, groups: crypto.SHA256,
			signature: "DSA SHA-256 DSA-1024", chain: "RSASSA-PKCS1-v1_5 SHA-256 RSA-3072", weak: []string{"document signer key, DSA-1024"},
		},
		{
			name: "the first years", csca: "rsa 2048", cscaSign: []string{"-sha1"}, ds: "rsa 1024", cms: []string{"-md", "sha1"}, groups: crypto.SHA1,
			signature: "RSASSA-PKCS1-v1_5 SHA-1 RSA-1024", chain: "RSASSA-PKCS1-v1_5 SHA-1 RSA-2048",
			weak: []string{"security object signature, SHA-1", "document signer key, RSA-1024", "document signer certificate, SHA-1", "data group hashes, SHA-1"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			pool := trust.NewPool()
			o.key("csca", tt.csca)
			o.root("csca", "/C=UZ/CN=CSCA", tt.cscaSign...)
			switch {
			case tt.link:
				o.key("old", "brainpoolP384r1"+explicit)
				o.root("old", "/C=UZ/CN=CSCA", "-sha384")
				o.issue("csca", "/C=UZ/CN=CSCA", "old", "ca", "link", "-sha384")
				if err := pool.Add(o.certificate("old"), "test"); err != nil {
					t.Fatal(err)
				}
				if err := pool.AddLink(o.certificate("link"), "test"); err != nil {
					t.Fatal(err)
				}
			default:
				if err := pool.Add(o.certificate("csca"), "test"); err != nil {
					t.Fatal(err)
				}
			}
			o.key("ds", tt.ds)
			extensions := tt.extensions
			if extensions == "" {
				extensions = "ds"
			}
			o.issue("ds", "/C=UZ/CN=DS", "csca", extensions, "ds", tt.cscaSign...)

			groups := map[int][]byte{1: cmstest.DG1(t, "UZB"), 2: []byte("two"), 15: []byte("fifteen")}
			o.write("object", securityObject(t, tt.groups, tt.version, groups))
			o.run(append([]string{
				"cms", "-sign", "-binary", "-nodetach", "-nosmimecap", "-in", "object", "-outform", "DER", "-out", "sod",
				"-econtent_type", lds.OIDSecurityObject, "-signer", "ds.pem", "-inkey", "ds.key",
			}, tt.cms...)...)
			sod, err := lds.ParseSOD(cmstest.SOD(t, o.read("sod")))
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now().Add(time.Minute) // the certificates begin now
			if tt.outside {
				if got := passiveauth.Verify(sod, groups, pool, now).Overall(); got != unknown(passiveauth.SignerCertificateMissing, "") {
					t.Errorf("without the signer's certificate: %+v", got)
				}
				pool.AddSigner(o.certificate("ds"))
			}

			r := passiveauth.Verify(sod, groups, pool, now)
			overall, chain, docType := pass(tt.signature), pass(tt.chain), tt.docType
			if docType.Reason == passiveauth.DocumentTypeMismatch {
				overall, chain = docType, docType
			} else {
				docType = result.Check{Value: result.NotSupported, Reason: passiveauth.DocumentTypesAbsent}
			}
			for _, f := range []struct {
				name      string
				got, want result.Check
			}{
				{"overall", r.Overall(), overall},
				{"signature", r.Signature, pass(tt.signature)},
				{"chain", r.Chain, chain},
				{"hashes", r.Hashes, pass(tt.groups.String())},
				{"issuing state", r.IssuingState, pass("")},
				{"document type", r.DocumentType, docType},
			} {
				if f.got != f.want {
					t.Errorf("%s: %+v, want %+v", f.name, f.got, f.want)
				}
			}
			if !slices.Equal(r.Weak, tt.weak) {
				t.Errorf("weak %q, want %q", r.Weak, tt.weak)
			}
			if (r.Anchor.Issuer != nil) != tt.link {
				t.Errorf("anchor by %v", r.Anchor.Why)
			}
			if got := sod.Object.LDSVersion; got != tt.version {
				t.Errorf("LDS version %q, want %q", got, tt.version)
			}

			// The same with one thing that is not so.
			groups[2] = []byte("TWO")
			if got := passiveauth.Verify(sod, groups, pool, now).Overall(); got.Value != result.Failed {
				t.Errorf("another DG2: %+v", got)
			}
			groups[2] = []byte("two")
			if got := passiveauth.Verify(sod, groups, pool, now.AddDate(20, 0, 0)).Overall(); got.Value != result.Failed {
				t.Errorf("in twenty years: %+v", got)
			}
			wantChain := unknown(passiveauth.NoTrustAnchor, "")
			switch {
			case tt.outside: // nobody knows the signer
				wantChain = result.Check{}
			case tt.docType.Value == result.Failed:
				wantChain = tt.docType
			}
			if got := passiveauth.Verify(sod, groups, nil, now).Chain; got != wantChain {
				t.Errorf("chain without an anchor: %+v, want %+v", got, wantChain)
			}
		})
	}
}

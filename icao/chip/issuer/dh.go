package issuer

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// Group is a finite-field Diffie-Hellman group: the numbers below p, and in them
// the subgroup of prime order q that g generates. There is exactly one *Group
// for each set of parameters, so pointers may be compared. It may be used
// concurrently.
//
// Its time depends on its inputs, which is good enough for synthetic documents
// only.
type Group struct {
	id      int
	p, q, g *big.Int
}

// ErrElement reports a number that is no element of a [Group]'s subgroup, or
// the neutral one.
var ErrElement = errors.New("issuer: not an element of the group")

// GroupByID returns the standardized domain parameters 0 to 2 (Doc 9303-11,
// 9.5.1), and nil for any other number.
func GroupByID(id int) *Group {
	if id < 0 || id >= len(groups) {
		return nil
	}
	return groups[id]
}

// ID is the group's number among the standardized domain parameters.
func (g *Group) ID() int { return g.id }

// Size is the length of an element in bytes, leading zero bytes included.
func (g *Group) Size() int { return (g.p.BitLen() + 7) / 8 }

// OrderSize is the length of a private key in bytes.
func (g *Group) OrderSize() int { return (g.q.BitLen() + 7) / 8 }

// P is the modulus, Size bytes.
func (g *Group) P() []byte { return g.fixed(g.p) }

// Q is the order of the subgroup, OrderSize bytes.
func (g *Group) Q() []byte { return g.q.FillBytes(make([]byte, g.OrderSize())) }

// Generator is the generator of the subgroup, Size bytes.
func (g *Group) Generator() []byte { return g.fixed(g.g) }

func (g *Group) fixed(n *big.Int) []byte { return n.FillBytes(make([]byte, g.Size())) }

// Parse validates a public value of another party, with or without leading zero
// bytes, after RFC 2631, 2.1.5: between 2 and p-2, and of order q. It returns
// Size bytes, or [ErrElement].
func (g *Group) Parse(b []byte) ([]byte, error) {
	y := new(big.Int).SetBytes(b)
	upper := new(big.Int).Sub(g.p, big.NewInt(1))
	if len(b) > g.Size()+1 || y.Cmp(big.NewInt(1)) <= 0 || y.Cmp(upper) >= 0 ||
		new(big.Int).Exp(y, g.q, g.p).Cmp(big.NewInt(1)) != 0 {
		return nil, ErrElement
	}
	return g.fixed(y), nil
}

// Power is base to the exponent modulo p, Size bytes; a nil base is the
// generator. A result of one is [ErrElement].
func (g *Group) Power(base, exponent []byte) ([]byte, error) {
	b := g.g
	if base != nil {
		b = new(big.Int).SetBytes(base)
	}
	y := new(big.Int).Exp(b, new(big.Int).SetBytes(exponent), g.p)
	if y.Cmp(big.NewInt(1)) <= 0 {
		return nil, ErrElement
	}
	return g.fixed(y), nil
}

// Multiply is the product of two elements modulo p, Size bytes. A result of one
// is [ErrElement].
func (g *Group) Multiply(a, b []byte) ([]byte, error) {
	y := new(big.Int).Mul(new(big.Int).SetBytes(a), new(big.Int).SetBytes(b))
	if y.Mod(y, g.p).Cmp(big.NewInt(1)) <= 0 {
		return nil, ErrElement
	}
	return g.fixed(y), nil
}

// Cofactor is (p-1)/q, with which integrated mapping reaches the subgroup
// (Doc 9303-11, 4.4.3.3.2).
func (g *Group) Cofactor() []byte {
	a := new(big.Int).Sub(g.p, big.NewInt(1))
	return a.Div(a, g.q).Bytes()
}

// DrawScalar draws a private key: OrderSize bytes of random, again until they
// are between 1 and q-1, so that a reader that delivers a key yields exactly
// that key.
func (g *Group) DrawScalar(random io.Reader) ([]byte, error) {
	b := make([]byte, g.OrderSize())
	for {
		if _, err := io.ReadFull(reader(random), b); err != nil {
			return nil, err
		}
		if excess := len(b)*8 - g.q.BitLen(); excess > 0 {
			b[0] &= 0xFF >> excess
		}
		if x := new(big.Int).SetBytes(b); x.Sign() > 0 && x.Cmp(g.q) < 0 {
			return b, nil
		}
	}
}

// DHKey is a private key in a [Group]. It prints as [redacted]. It is
// immutable and may be used concurrently.
type DHKey struct {
	group *Group
	x, y  []byte
	// pkcs3 makes [Key.PublicKeyInfo] use the identifier of PKCS #3, whose
	// parameters leave the order out, in place of that of ANSI X9.42.
	pkcs3 bool
}

// NewDHKey makes a key in the standardized group with the given number. pkcs3
// gives its SubjectPublicKeyInfo the form of PKCS #3, which Doc 9303-11, 9.6,
// names, instead of that of ANSI X9.42; documents have either. A nil random is
// crypto/rand.Reader.
func NewDHKey(random io.Reader, group int, pkcs3 bool) (*Key, error) {
	g := GroupByID(group)
	if g == nil {
		return nil, fmt.Errorf("%w: unknown group", ErrKey)
	}
	x, err := g.DrawScalar(random)
	if err != nil {
		return nil, err
	}
	return NewDHKeyFrom(g, x, pkcs3)
}

// NewDHKeyFrom makes the key with a given private value, which is reduced
// modulo the order of the group. Its error wraps [ErrKey].
func NewDHKeyFrom(g *Group, private []byte, pkcs3 bool) (*Key, error) {
	x := new(big.Int).SetBytes(private)
	if x.Mod(x, g.q).Sign() == 0 {
		return nil, fmt.Errorf("%w: private value", ErrKey)
	}
	k := &DHKey{group: g, x: x.FillBytes(make([]byte, g.OrderSize())), pkcs3: pkcs3}
	var err error
	if k.y, err = g.Power(nil, k.x); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &Key{DH: k}, nil
}

// WithPKCS3 returns the key with the form of its SubjectPublicKeyInfo that
// [NewDHKey] describes.
func (k *DHKey) WithPKCS3(pkcs3 bool) *DHKey {
	c := *k
	c.pkcs3 = pkcs3
	return &c
}

// Group is the group of the key.
func (k *DHKey) Group() *Group { return k.group }

// Private is the private value, OrderSize bytes of the group.
func (k *DHKey) Private() []byte { return append([]byte(nil), k.x...) }

// Public is the public value, Size bytes of the group.
func (k *DHKey) Public() []byte { return append([]byte(nil), k.y...) }

// Agree is the shared secret with another party, Size bytes of the group, whose
// public value has been validated by [Group.Parse].
func (k *DHKey) Agree(public []byte) ([]byte, error) { return k.group.Power(public, k.x) }

// Equal reports whether two keys are the same.
func (k *DHKey) Equal(o *DHKey) bool {
	return k.group == o.group && subtle.ConstantTimeCompare(k.x, o.x) == 1
}

// Format prints no content.
func (k DHKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// groups are the MODP groups of RFC 5114, by their numbers.
var groups = [...]*Group{
	newGroup(0, // 1024-bit MODP group with a 160-bit subgroup (RFC 5114, 2.1)
		"b10b8f96a080e01dde92de5eae5d54ec52c99fbcfb06a3c69a6a9dca52d23b616073e28675a23d189838ef1e2ee652c0"+
			"13ecb4aea906112324975c3cd49b83bfaccbdd7d90c4bd7098488e9c219a73724effd6fae5644738faa31a4ff55bccc0"+
			"a151af5f0dc8b4bd45bf37df365c1a65e68cfda76d4da708df1fb2bc2e4a4371",
		"f518aa8781a8df278aba4e7d64b7cb9d49462353",
		"a4d1cbd5c3fd34126765a442efb99905f8104dd258ac507fd6406cff14266d31266fea1e5c41564b777e690f5504f213"+
			"160217b4b01b886a5e91547f9e2749f4d7fbd7d3b9a92ee1909d0d2263f80a76a6a24c087a091f531dbf0a0169b6a28a"+
			"d662a4d18e73afa32d779d5918d08bc8858f4dcef97c2a24855e6eeb22b3b2e5"),
	newGroup(1, // 2048-bit MODP group with a 224-bit subgroup (RFC 5114, 2.2)
		"ad107e1e9123a9d0d660faa79559c51fa20d64e5683b9fd1b54b1597b61d0a75e6fa141df95a56dbaf9a3c407ba1df15"+
			"eb3d688a309c180e1de6b85a1274a0a66d3f8152ad6ac2129037c9edefda4df8d91e8fef55b7394b7ad5b7d0b6c12207"+
			"c9f98d11ed34dbf6c6ba0b2c8bbc27be6a00e0a0b9c49708b3bf8a317091883681286130bc8985db1602e714415d9330"+
			"278273c7de31efdc7310f7121fd5a07415987d9adc0a486dcdf93acc44328387315d75e198c641a480cd86a1b9e587e8"+
			"be60e69cc928b2b9c52172e413042e9b23f10b0e16e79763c9b53dcf4ba80a29e3fb73c16b8e75b97ef363e2ffa31f71"+
			"cf9de5384e71b81c0ac4dffe0c10e64f",
		"801c0d34c58d93fe997177101f80535a4738cebcbf389a99b36371eb",
		"ac4032ef4f2d9ae39df30b5c8ffdac506cdebe7b89998caf74866a08cfe4ffe3a6824a4e10b9a6f0dd921f01a70c4afa"+
			"ab739d7700c29f52c57db17c620a8652be5e9001a8d66ad7c17669101999024af4d027275ac1348bb8a762d0521bc98a"+
			"e247150422ea1ed409939d54da7460cdb5f6c6b250717cbef180eb34118e98d119529a45d6f834566e3025e316a330ef"+
			"bb77a86f0c1ab15b051ae3d428c8f8acb70a8137150b8eeb10e183edd19963ddd9e263e4770589ef6aa21e7f5f2ff381"+
			"b539cce3409d13cd566afbb48d6c019181e1bcfe94b30269edfe72fe9b6aa4bd7b5a0f1c71cfff4c19c418e1f6ec0179"+
			"81bc087f2a7065b384b890d3191f2bfa"),
	newGroup(2, // 2048-bit MODP group with a 256-bit subgroup (RFC 5114, 2.3)
		"87a8e61db4b6663cffbbd19c651959998ceef608660dd0f25d2ceed4435e3b00e00df8f1d61957d4faf7df4561b2aa30"+
			"16c3d91134096faa3bf4296d830e9a7c209e0c6497517abd5a8a9d306bcf67ed91f9e6725b4758c022e0b1ef4275bf7b"+
			"6c5bfc11d45f9088b941f54eb1e59bb8bc39a0bf12307f5c4fdb70c581b23f76b63acae1caa6b7902d52526735488a0e"+
			"f13c6d9a51bfa4ab3ad8347796524d8ef6a167b5a41825d967e144e5140564251ccacb83e6b486f6b3ca3f7971506026"+
			"c0b857f689962856ded4010abd0be621c3a3960a54e710c375f26375d7014103a4b54330c198af126116d2276e11715f"+
			"693877fad7ef09cadb094ae91e1a1597",
		"8cf83642a709a097b447997640129da299b1a47d1eb3750ba308b0fe64f5fbd3",
		"3fb32c9b73134d0b2e77506660edbd484ca7b18f21ef205407f4793a1a0ba12510dbc15077be463fff4fed4aac0bb555"+
			"be3a6c1b0c6b47b1bc3773bf7e8c6f62901228f8c28cbb18a55ae31341000a650196f931c77a57f2ddf463e5e9ec144b"+
			"777de62aaab8a8628ac376d282d6ed3864e67982428ebc831d14348f6f2f9193b5045af2767164e1dfc967c1fb3f2e55"+
			"a4bd1bffe83b9c80d052b985d182ea0adb2a3b7313d3fe14c8484b1e052588b9b7d2bbd2df016199ecd06e1557cd0915"+
			"b3353bbb64e0ec377fd028370df92b52c7891428cdc67eb6184b523d1db246c32f63078490f00ef8d647d148d4795451"+
			"5e2327cfef98c582664b4c0f6cc41659"),
}

// newGroup reads one row of the table.
func newGroup(id int, p, q, g string) *Group {
	number := func(s string) *big.Int {
		n, _ := new(big.Int).SetString(s, 16) // the table is ours; a test checks it
		return n
	}
	return &Group{id: id, p: number(p), q: number(q), g: number(g)}
}

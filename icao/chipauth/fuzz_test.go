package chipauth_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/apdu/apdutest"
	"github.com/chamthe/chamthe/icao/chipauth"
	"github.com/chamthe/chamthe/icao/secinfo"
	"github.com/chamthe/chamthe/icao/sm"
	"github.com/chamthe/chamthe/icao/tlv"
)

// A copy knows everything but the private key, the session keys of PACE
// included, and answers what it likes: never with success, and not for ever.
func FuzzHostileCard(f *testing.F) {
	curve, dh := curveStatic(f, "P-256"), dhStatic(f, modp2048(f), pkcs3)
	both := secinfo.SecurityInfos{
		ChipAuthentication:     slices.Concat(curve.offers(sm.TripleDES).ChipAuthentication, dh.offers(sm.AES128).ChipAuthentication),
		ChipAuthenticationKeys: []secinfo.ChipAuthenticationPublicKeyInfo{curve.keyInfo(secinfo.NoID), dh.keyInfo(secinfo.NoID)},
	}
	offers := []secinfo.SecurityInfos{curve.offers(sm.TripleDES), curve.offers(sm.AES128), curve.offers(sm.AES256), both}

	// The script: one byte says how to answer, then come status and data.
	const (
		protected = iota
		guessed   // under keys of zeros
		raw
		honest
		gone
		modes
	)
	ok := []byte{protected, 0x90, 0x00, 0}
	agreed := []byte{protected, 0x90, 0x00, 2, 0x7C, 0}
	refuse := []byte{protected, 0x67, 0x00, 0}
	for _, s := range [][]byte{
		slices.Concat(ok, ok, ok),
		slices.Concat(ok, agreed, ok),
		slices.Concat(ok, agreed, []byte{guessed, 0x90, 0x00, 0}),
		slices.Concat(refuse, refuse, refuse, refuse, ok, agreed, ok),
		slices.Concat(ok, agreed, []byte{raw, 0x90, 0x00, 0}),
		slices.Concat(ok, agreed, []byte{raw, 0x61, 0x00, 0}),
		{raw, 0x61, 0x00, 0},
		{honest, honest, honest},
		{honest, honest, gone},
	} {
		for i := range offers {
			f.Add(uint8(i), s)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, script []byte) {
		impostor := curveStatic(t, "P-256")
		card, d, ch := newCard(t, one(impostor))
		old := card.sm
		in := tlv.String(script)
		card.answer = func(c apdu.Command) []byte {
			var mode, sw1, sw2, n uint8
			if !in.ReadUint8(&mode) {
				return []byte{0}
			}
			if mode %= modes; mode == honest {
				return nil
			}
			var data []byte
			if mode == gone || !in.ReadUint8(&sw1) || !in.ReadUint8(&sw2) || !in.ReadUint8(&n) || !in.ReadBytes(&data, int(n)) {
				return []byte{0}
			}
			resp := apdu.Response{Data: data, SW: apdu.Status(sw1)<<8 | apdu.Status(sw2)}
			switch mode {
			case protected:
				return old.seal(resp)
			case guessed:
				return newPeer(t, sm.AES128, make([]byte, 16), make([]byte, 16), []byte{1}).seal(resp)
			default:
				card.endless = resp.SW.SW1() == 0x61
				return append(bytes.Clone(data), sw1, sw2)
			}
		}
		infos := offers[int(which)%len(offers)]
		next, r, err := chipauth.Authenticate(t.Context(), d, ch, infos, nil)
		if err == nil || next != nil || r.Algorithm != "" || r.Response.SW != 0 || r.Deviations != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		if errors.Is(err, chipauth.ErrNotOffered) || errors.Is(err, chipauth.ErrKey) || errors.Is(err, chipauth.ErrUnsupported) {
			t.Fatalf("error %v", err)
		}
		// The variants with their links, and one response that does not end.
		if card.exchanges > 40+512 {
			t.Fatalf("%d exchanges", card.exchanges)
		}
		if chipauth.ReasonOf(err) == chipauth.ReasonInterrupted && !errors.Is(err, apdutest.ErrGone) {
			t.Fatalf("a chip that answered is taken for lost: %v", err)
		}
	})
}

// SecurityInfos of any content give variants or an error.
func FuzzInfos(f *testing.F) {
	_, key := camKey(f)
	seeds := [][]byte{tlv.Append(nil, 0x31, key)}
	info := func(tb testing.TB, protocol string, parts ...[]byte) []byte {
		return element(0x30, element(0x06, oid(tb, protocol)), slices.Concat(parts...))
	}
	number := func(n byte) []byte { return []byte{2, 1, n} }
	g := modp2048(f)
	for _, s := range []static{curveStatic(f, "P-256"), dhStatic(f, g, pkcs3), dhStatic(f, g, x942, integer(g.q))} {
		for _, c := range allCiphers {
			pk := s.keyInfo(0).Protocol
			seeds = append(seeds,
				element(0x31, info(f, protocol(s.curve, c), number(1)), info(f, pk, s.info)),
				element(0x31, info(f, protocol(s.curve, c), number(2), number(7)), info(f, pk, s.info, number(7))),
			)
		}
	}
	for _, s := range seeds {
		infos, err := secinfo.Parse(s)
		if err != nil || len(infos.ChipAuthenticationKeys) == 0 {
			f.Fatalf("bad seed: %v", err)
		}
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		infos, err := secinfo.Parse(b)
		if err != nil {
			return
		}
		variants, err := chipauth.Variants(infos)
		if (err == nil) != (len(variants) > 0) || len(variants) > 2*chipauth.MaxVariants {
			t.Fatalf("%d variants, %v", len(variants), err)
		}
		switch {
		case err == nil, errors.Is(err, chipauth.ErrNotOffered), errors.Is(err, chipauth.ErrKey), errors.Is(err, chipauth.ErrUnsupported):
		default:
			t.Fatal(err)
		}
		if len(infos.ChipAuthentication)+len(infos.ChipAuthenticationKeys) == 0 != errors.Is(err, chipauth.ErrNotOffered) {
			// Only the keys of PACE-CAM are there without an offer.
			if len(infos.ChipAuthentication) > 0 || len(infos.PACE) == 0 {
				t.Fatal(err)
			}
		}
	})
}

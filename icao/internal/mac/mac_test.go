package mac_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/chamthe/chamthe/icao/internal/mac"
	"github.com/chamthe/chamthe/icao/internal/vectortest"
)

// The message of RFC 4493, section 4, and of NIST SP 800-38B, appendix D.
const nistMessage = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" +
	"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"

func TestCMACVectors(t *testing.T) {
	const (
		key128 = "2b7e151628aed2a6abf7158809cf4f3c"
		key192 = "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b"
		key256 = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
	)
	tests := []struct {
		name, key string
		n         int
		want      string
	}{
		{"RFC 4493 example 1", key128, 0, "bb1d6929e95937287fa37d129b756746"},
		{"RFC 4493 example 2", key128, 16, "070a16b46b4d4144f79bdd9dd04a287c"},
		{"RFC 4493 example 3", key128, 40, "dfa66747de9ae63030ca32611497c827"},
		{"RFC 4493 example 4", key128, 64, "51f0bebf7e3b9d92fc49741779363cfe"},
		{"SP 800-38B AES-192 example 5", key192, 0, "d17ddf46adaacde531cac483de7a9367"},
		{"SP 800-38B AES-192 example 6", key192, 16, "9e99a7bf31e710900662f65e617c5184"},
		{"SP 800-38B AES-192 example 7", key192, 40, "8a1de5be2eb31aad089a82e6ee908b0e"},
		{"SP 800-38B AES-192 example 8", key192, 64, "a1d5df0eed790f794d77589659f39a11"},
		{"SP 800-38B AES-256 example 9", key256, 0, "028962f61b7bf89efc6b551f4667d983"},
		{"SP 800-38B AES-256 example 10", key256, 16, "28a7023f452e8f82bd4bf28d8c37c35c"},
		{"SP 800-38B AES-256 example 11", key256, 40, "aaf3d8f1de5640c232f5b169b9c911e6"},
		{"SP 800-38B AES-256 example 12", key256, 64, "e1992190549f6ed5696a2c056c315410"},
	}
	msg := vectortest.Hex(t, nistMessage)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := bytes.Clone(msg[:tt.n])
			got := mac.CMAC(vectortest.Hex(t, tt.key), in)
			if hex.EncodeToString(got[:]) != tt.want {
				t.Errorf("CMAC = %x, want %s", got, tt.want)
			}
			if !bytes.Equal(in, msg[:tt.n]) {
				t.Error("CMAC changed its message")
			}
		})
	}
}

// Doc 9303-11, D.3 and D.4: the checksums of the worked example, both over
// whole blocks (D.3) and over the unpadded end of a message (D.4).
func TestRetailVectors(t *testing.T) {
	tests := []struct{ name, key, msg, want string }{
		{
			"D.3 M.IFD", "7962d9ece03d1acd4c76089dce131543",
			"72c29c2371cc9bdb65b779b8e8d37b29ecc154aa56a8799fae2f498f76ed92f2", "5f1448eea8ad90a7",
		},
		{
			"D.3 M.IC", "7962d9ece03d1acd4c76089dce131543",
			"46b9342a41396cd7386bf5803104d7cedc122b9132139baf2eedc94ee178534f", "2f2d235d074d7449",
		},
		{
			"D.4 READ BINARY", "f1cb1f1fb5adf208806b89dc579dc1f8",
			"887022120c06c2290cb0000080000000970104", "ed6705417e96ba55",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := mac.Retail([16]byte(vectortest.Hex(t, tt.key)), vectortest.Hex(t, tt.msg))
			if hex.EncodeToString(got[:]) != tt.want {
				t.Errorf("Retail = %x, want %s", got, tt.want)
			}
		})
	}
}

func TestPad(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", "8000000000000000"},
		{"one byte", "01", "0180000000000000"},
		{"one less than a block", "01020304050607", "0102030405060780"},
		{"a whole block", "0102030405060708", "01020304050607088000000000000000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := hex.EncodeToString(mac.Pad(vectortest.Hex(t, tt.in), 8)); got != tt.want {
				t.Errorf("Pad = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestUnpad(t *testing.T) {
	tests := []struct {
		name, in, want string
		ok             bool
	}{
		{"empty value", "8000000000000000", "", true},
		{"zeros before the padding", "0000000000000080", "00000000000000", true},
		{"80 before the padding", "0180800000000000", "0180", true},
		{"two blocks", "01020304050607088000000000000000", "0102030405060708", true},
		{"no bytes", "", "", false},
		{"not whole blocks", "80000000000000", "", false},
		{"all zero", "0000000000000000", "", false},
		{"padding longer than a block", "80000000000000000000000000000000", "", false},
		{"no padding", "0102030405060708", "", false},
		{"wrong end", "8000000000000001", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := mac.Unpad(vectortest.Hex(t, tt.in), 8)
			if hex.EncodeToString(got) != tt.want || ok != tt.ok {
				t.Errorf("Unpad = %x, %v, want %s, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestUnpadUndoesPad(t *testing.T) {
	for _, blockSize := range []int{8, 16} {
		for n := range 40 {
			in := bytes.Repeat([]byte{0x80}, n)
			got, ok := mac.Unpad(mac.Pad(in, blockSize), blockSize)
			if !ok || !bytes.Equal(got, in) {
				t.Errorf("block %d, %d bytes: %x, %v", blockSize, n, got, ok)
			}
		}
	}
}

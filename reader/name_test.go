package reader_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/chamthe/chamthe/reader"
)

// Where the names of readers were seen. None of them was made up here.
const (
	ausweisapp = "Governikus/AusweisApp, test/qt/global/test_ReaderConfiguration.cpp"
	acs10      = "github.com/acshk/acsccid/issues/10"
	acs4       = "github.com/acshk/acsccid/issues/4"
	acsReaders = "acshk/acsccid, README.md"
	yubico298  = "github.com/Yubico/yubico-piv-tool/issues/298"
	pcsc66     = "github.com/LudovicRousseau/PCSC/issues/66"
	ccidUSB    = "LudovicRousseau/CCID, src/ccid_usb.c"
	minimonk   = "minimonk.net, output of pcsc_scan"
	printed    = "a public repository that prints the names it found"
	platform   = "pcsc-lite with vpcd, measured"
)

var names = []struct {
	name   string
	kind   reader.Kind
	model  string // empty: the name itself
	source string
}{
	{"ACS ACR122U PICC Interface 00 00", reader.Contactless, "ACS ACR122U PICC Interface", "github.com/nfc-tools/libnfc/issues/658"},
	{"ACS ACR122U PICC Interface", reader.Contactless, "", "github.com/Yubico/yubico-piv-tool/issues/15"},
	{"ACS ACR122 0", reader.Contactless, "ACS ACR122", printed},
	{"ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] 00 00", reader.Contactless, "ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC]", minimonk},
	{"ACS ACR1252 Dual Reader PICC 0", reader.Contactless, "ACS ACR1252 Dual Reader PICC", printed},
	{"ACS ACR1252 Dual Reader SAM 0", reader.SAM, "ACS ACR1252 Dual Reader SAM", printed},
	{"ACS ACR1252 1S CL Reader(1)", reader.Contactless, "", acs10},
	{"ACS ACR1252 1S CL Reader(2)", reader.SAM, "", acs10},
	{"ACS ACR1252 1S CL Reader(2) 01", reader.SAM, "ACS ACR1252 1S CL Reader(2)", acs10},
	{"ACS ACR1252 1S CL Reader PICC 0", reader.Contactless, "ACS ACR1252 1S CL Reader PICC", acs10},
	{"ACS ACR1552 1S CL Reader [ACR1552 1S CL Reader SAM] 01 00", reader.SAM, "ACS ACR1552 1S CL Reader [ACR1552 1S CL Reader SAM]", printed},
	{"ACS ACR1222 1SAM PICC Reader", reader.Contactless, "", "github.com/nfc-tools/libnfc/pull/357"},
	{"ACS ACR1281 1S Dual Reader 00 00", reader.KindUnknown, "ACS ACR1281 1S Dual Reader", acs4},
	{"ACS ACR1281 1S Dual Reader 00 02", reader.SAM, "ACS ACR1281 1S Dual Reader", acs4},
	{"ACS ACR1281 1S Dual Reader PICC 0", reader.Contactless, "ACS ACR1281 1S Dual Reader PICC", ausweisapp},
	{"ACS ACR1281 1S Dual Reader ICC 0", reader.Contact, "ACS ACR1281 1S Dual Reader ICC", ausweisapp},
	{"ACS ACR1281 1S Dual Reader SAM 0", reader.SAM, "ACS ACR1281 1S Dual Reader SAM", ausweisapp},
	{"ACS ACR1281 1S Dual Reader (1)", reader.KindUnknown, "", ausweisapp},
	{"ACS ACR1281 1S Dual Reader (3)", reader.SAM, "", ausweisapp},
	{"ACS ACR1581 1S Dual Reader PICC 0", reader.Contactless, "ACS ACR1581 1S Dual Reader PICC", ausweisapp},
	{"ACS ACR1581 1S Dual Reader ICC", reader.Contact, "", ausweisapp},
	{"ACS ACR1581 1S Dual Reader SAM", reader.SAM, "", ausweisapp},
	{"ACS ACR39U ICC Reader 0", reader.Contact, "ACS ACR39U ICC Reader", acsReaders},
	{"HID Global OMNIKEY 5022 Smart Card Reader 0", reader.Contactless, "HID Global OMNIKEY 5022 Smart Card Reader", ausweisapp},
	{"HID Global OMNIKEY 5422CL Smartcard Reader 0", reader.Contactless, "HID Global OMNIKEY 5422CL Smartcard Reader", ausweisapp},
	{"HID Global OMNIKEY 5422 Smartcard Reader 0", reader.KindUnknown, "HID Global OMNIKEY 5422 Smartcard Reader", ausweisapp},
	{"HID Global OMNIKEY Smartcard Reader (1)", reader.KindUnknown, "", ausweisapp},
	{"HID Global OMNIKEY 5422 Smartcard Reader [OMNIKEY 5422CL Smartcard Reader] (KJ0K3P000916363685) 00 00", reader.Contactless, "HID Global OMNIKEY 5422 Smartcard Reader [OMNIKEY 5422CL Smartcard Reader]", yubico298},
	{"HID Global OMNIKEY 5422 Smartcard Reader [OMNIKEY 5422 Smartcard Reader] (KJ0K3P000916363685) 01 00", reader.KindUnknown, "HID Global OMNIKEY 5422 Smartcard Reader [OMNIKEY 5422 Smartcard Reader]", yubico298},
	{"Identiv uTrust 3700 F CL Reader [uTrust 3700 F CL Reader] (55021722297869) 00 00", reader.Contactless, "Identiv uTrust 3700 F CL Reader [uTrust 3700 F CL Reader]", pcsc66},
	{"Identiv CLOUD 3700 F Contactless Reader 0", reader.Contactless, "Identiv CLOUD 3700 F Contactless Reader", ausweisapp},
	{"Identive CLOUD 4700 F Contact Reader 0", reader.Contact, "Identive CLOUD 4700 F Contact Reader", ausweisapp},
	{"Identiv CLOUD 4701 F Contactless Reader 1", reader.Contactless, "Identiv CLOUD 4701 F Contactless Reader", ausweisapp},
	{"Feitian R502 Contactless Reader 0", reader.Contactless, "Feitian R502 Contactless Reader", printed},
	{"R502 Contact Reader", reader.Contact, "", ccidUSB},
	{"R502 SAM1 Reader", reader.SAM, "", ccidUSB},
	{"SCM Microsystems SCL3711 reader & NFC device 0", reader.Contactless, "SCM Microsystems SCL3711 reader & NFC device", ausweisapp},
	{"SCM Microsystems Inc. SDI011 Contactless Reader(1)", reader.Contactless, "", ausweisapp},
	{"SONY FeliCa Port/PaSoRi 4.0 0", reader.Contactless, "SONY FeliCa Port/PaSoRi 4.0", printed},
	{"Gemalto Prox-DU Contactless_10900383 0", reader.Contactless, "Gemalto Prox-DU Contactless", ausweisapp},
	{"Gemalto Prox-DU Contact_10900383 0", reader.Contact, "Gemalto Prox-DU Contact", ausweisapp},
	{"FEIG ELECTRONIC GmbH OBID myAXXESS basic Slot:CL 358334430", reader.Contactless, "", ausweisapp},
	{"REINER SCT cyberJack RFID basis 0", reader.Contactless, "REINER SCT cyberJack RFID basis", ausweisapp},
	{"REINER SCT cyberJack wave USB 1", reader.Contactless, "REINER SCT cyberJack wave USB", ausweisapp},
	{"KOBIL Systems IDToken (NS1252PT18716) 01 00", reader.Contactless, "KOBIL Systems IDToken", ausweisapp},
	{"NXP PR533 0", reader.Contactless, "NXP PR533", ausweisapp},
	{"Cherry GmbH CHERRY SECURE BOARD 1.0 0", reader.KindUnknown, "Cherry GmbH CHERRY SECURE BOARD 1.0", ausweisapp},
	{"Generic EMV Smartcard Reader 0", reader.KindUnknown, "Generic EMV Smartcard Reader", printed},
	{"Virtual PCD 00 01", reader.KindUnknown, "Virtual PCD", platform},
	{"Windows Hello for Business 1", reader.Virtual, "Windows Hello for Business", printed},
	{"Microsoft Virtual Smart Card 0", reader.Virtual, "Microsoft Virtual Smart Card", printed},
	{"Microsoft UICC ISO Reader 3f873476 0", reader.Virtual, "Microsoft UICC ISO Reader 3f873476", printed},
	{"Microsoft IFD 0", reader.KindUnknown, "Microsoft IFD", printed},
	{"canokeys.org OpenPGP PIV OATH 0", reader.Token, "canokeys.org OpenPGP PIV OATH", printed},
	{"Yubico YubiKey OTP+FIDO+CCID 0", reader.Token, "Yubico YubiKey OTP+FIDO+CCID", printed},
	{"Nitrokey Nitrokey 3 [CCID/ICCD Interface] 00 00", reader.Token, "Nitrokey Nitrokey 3 [CCID/ICCD Interface]", printed},
	{"AKS ifdh [eToken 5110 SC] 00 00", reader.Token, "AKS ifdh [eToken 5110 SC]", printed},
	{"FT ePass2003Auto 0", reader.Token, "FT ePass2003Auto", printed},
	{"HYPERSECU USB TOKEN 0", reader.Token, "HYPERSECU USB TOKEN", printed},
}

func TestReaderNames(t *testing.T) {
	for _, tt := range names {
		t.Run(strings.ReplaceAll(tt.name, "/", "_"), func(t *testing.T) {
			if tt.source == "" {
				t.Error("where was this name seen?")
			}
			if got := reader.KindOf(tt.name, nil); got != tt.kind {
				t.Errorf("KindOf = %v, want %v", got, tt.kind)
			}
			want := tt.model
			if want == "" {
				want = tt.name
			}
			if got := reader.Model(tt.name); got != want {
				t.Errorf("Model = %q, want %q", got, want)
			}
		})
	}
}

func TestKindByAnswerToReset(t *testing.T) {
	contactless := []byte{0x3B, 0x88, 0x80, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x81, 0x81, 0x00, 0x09}
	contact := []byte{0x3B, 0xFF, 0x96, 0x00, 0x00, 0x81, 0x31, 0xFE, 0x43}
	for _, tt := range []struct {
		name string
		atr  []byte
		want reader.Kind
	}{
		{"Cherry GmbH CHERRY SECURE BOARD 1.0 0", contactless, reader.Contactless},
		{"Cherry GmbH CHERRY SECURE BOARD 1.0 0", contact, reader.KindUnknown},
		{"Cherry GmbH CHERRY SECURE BOARD 1.0 0", []byte{0x3B}, reader.KindUnknown},
		{"ACS ACR1281 1S Dual Reader 00 01", contactless, reader.Contactless},
		{"ACS ACR1281 1S Dual Reader SAM 0", contactless, reader.SAM},
		{"Windows Hello for Business 1", contactless, reader.Virtual},
		// firmware-notes/os/windows-hello.md
		{"Microsoft IFD 0", contactless, reader.Contactless},
		{"Microsoft IFD 0", contact, reader.KindUnknown},
	} {
		if got := reader.KindOf(tt.name, tt.atr); got != tt.want {
			t.Errorf("KindOf(%q, % X) = %v, want %v", tt.name, tt.atr, got, tt.want)
		}
	}
}

// What ends a name may be anything; nothing of a model may depend on which of
// several equal devices it is.
func TestModelForgetsTheDevice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.StringMatching(`[A-Z][a-z]{1,8} [A-Z]{1,3}[0-9]{3,4}[A-Z]? Reader`).Draw(t, "model")
		serial := rapid.StringMatching(`( \([0-9A-Z]{4,20}\))?`).Draw(t, "serial")
		slot := rapid.StringMatching(` [0-9A-F]{2} 0[0-9]| [0-9]{1,2}`).Draw(t, "slot")
		if got := reader.Model(base + serial + slot); got != base {
			t.Fatalf("Model(%q) = %q, want %q", base+serial+slot, got, base)
		}
	})
}

// Names come from drivers and USB descriptors: nobody promises anything.
func FuzzReaderName(f *testing.F) {
	for _, tt := range names {
		f.Add(tt.name, []byte{0x3B, 0x80, 0x80, 0x01, 0x01})
	}
	f.Add("[", []byte{})
	f.Add(" (0000) 00 00", []byte{0x3B})
	f.Fuzz(func(t *testing.T, name string, atr []byte) {
		if model := reader.Model(name); len(model) > len(name) || !strings.Contains(name, model) {
			t.Errorf("Model(%q) = %q", name, model)
		}
		without, with := reader.KindOf(name, nil), reader.KindOf(name, atr)
		if with != without && (without != reader.KindUnknown || with != reader.Contactless) {
			t.Errorf("a card makes a reader of kind %v one of kind %v", without, with)
		}
	})
}

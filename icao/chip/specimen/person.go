// Package specimen is the people of the software chip: nobody among them
// exists. It knows what their documents print (the machine readable zone of
// Doc 9303-4 and 9303-5, 8th edition, and the QR text of the Vietnamese citizen
// card of 2021) and draws their portraits.
//
// Names say what they are: Thử is a trial, Mẫu a specimen, Ví Dụ an example.
package specimen

import (
	"strings"
	"time"

	"github.com/chamthe/chamthe/icao/mrz"
)

// Kind is the document that a person holds.
type Kind uint8

// The kinds of document.
const (
	CitizenCard Kind = iota + 1 // Vietnamese citizen card, TD1
	Passport                    // TD3
)

// Person is a synthetic person with one document. Values are copies of a
// table: they may be changed.
type Person struct {
	ID   string // such as "nguyen-van-thu"
	Note string // what this person is there to show
	Kind Kind

	Number  string // twelve digits, or the passport's number
	Old     string // nine-digit number of an older card, or empty
	State   string // issuing state, as in the MRZ
	Surname string // letters of the MRZ
	Given   string // letters of the MRZ, names separated by a space
	Name    string // as written
	Sex     byte   // 'M', 'F' or '<'

	Birth, Issue time.Time // days, in UTC
	Expiry       time.Time // zero: no expiry

	Ethnicity, Religion, Hometown, Residence, Marks string
	Father, Mother, Spouse                          string
	ChipID                                          string // 16 characters of DG13
}

func date(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// People returns all synthetic people. The first citizen and the first passport
// holder are the standard ones.
func People() []Person {
	return []Person{
		{
			ID: "nguyen-van-thu", Note: "the standard citizen, expires on the 40th birthday", Kind: CitizenCard,
			Number: "001099000001", Old: "012345678", State: "VNM",
			Surname: "NGUYEN", Given: "VAN THU", Name: "Nguyễn Văn Thử", Sex: 'M',
			// Issued less than two years before the 25th birthday, so that the law
			// gives the expiry of the published sample zone, the 40th.
			Birth: date(1999, 1, 31), Issue: date(2022, 8, 15), Expiry: date(2039, 1, 31),
			Ethnicity: "Kinh", Religion: "Không",
			Hometown:  "Phường X, Quận Y, Hà Nội",
			Residence: "Số 1, Phường X, Quận Y, Hà Nội",
			Marks:     "Nốt ruồi C:1cm",
			Father:    "Nguyễn Văn Cha", Mother: "Trần Thị Mẹ",
			ChipID: "0123456789ABCDEF",
		},
		{
			ID: "tran-thi-mau", Note: "an old woman whose card does not expire", Kind: CitizenCard,
			Number: "079150000002", State: "VNM",
			Surname: "TRAN", Given: "THI MAU", Name: "Trần Thị Mẫu", Sex: 'F',
			Birth: date(1950, 3, 1), Issue: date(2021, 4, 15),
			Ethnicity: "Kinh", Religion: "Không",
			Hometown:  "Xã M, Huyện N, Long An",
			Residence: "Số 2, Phường X, Quận Y, TP Hồ Chí Minh",
			Marks:     "Sẹo chấm C:2cm trên trước đuôi mắt trái",
			Father:    "Trần Văn Cha", Mother: "Lê Thị Mẹ", Spouse: "Phạm Văn Chồng",
			ChipID: "0000000000000002",
		},
		{
			ID: "le-thi-thu-nghiem", Note: "expires on the 25th birthday", Kind: CitizenCard,
			Number: "048303000003", State: "VNM",
			Surname: "LE", Given: "THI THU NGHIEM", Name: "Lê Thị Thử Nghiệm", Sex: 'F',
			Birth: date(2003, 6, 15), Issue: date(2022, 7, 1), Expiry: date(2028, 6, 15),
			Ethnicity: "Kinh", Religion: "Không",
			Hometown:  "Xã P, Huyện Q, Quảng Nam",
			Residence: "Số 3, Đường Z, Quận Y, Đà Nẵng",
			Marks:     "Nốt ruồi C:0,5cm dưới mắt phải",
			Father:    "Lê Văn Cha", Mother: "Võ Thị Mẹ",
			ChipID: "0000000000000003",
		},
		{
			ID: "pham-van-mau", Note: "expires on the 40th birthday", Kind: CitizenCard,
			Number: "031090000004", Old: "023456789", State: "VNM",
			Surname: "PHAM", Given: "VAN MAU", Name: "Phạm Văn Mẫu", Sex: 'M',
			Birth: date(1990, 11, 20), Issue: date(2021, 8, 10), Expiry: date(2030, 11, 20),
			Ethnicity: "Tày", Religion: "Không",
			Hometown:  "Xã R, Huyện S, Hải Phòng",
			Residence: "Số 4, Phố T, Quận U, Hải Phòng",
			Marks:     "Sẹo C:1cm giữa trán",
			Father:    "Phạm Văn Cha", Mother: "Hoàng Thị Mẹ", Spouse: "Đỗ Thị Vợ",
			ChipID: "0000000000000004",
		},
		{
			ID: "hoang-thi-vi-du", Note: "born on a leap day, expires on the 60th birthday", Kind: CitizenCard,
			Number: "046172000005", Old: "034567890", State: "VNM",
			Surname: "HOANG", Given: "THI VI DU", Name: "Hoàng Thị Ví Dụ", Sex: 'F',
			Birth: date(1972, time.February, 29), Issue: date(2021, 5, 20), Expiry: date(2032, time.February, 29),
			Ethnicity: "Kinh", Religion: "Phật giáo",
			Hometown:  "Xã A, Huyện B, Thừa Thiên Huế",
			Residence: "Số 5, Kiệt 1, Phường C, Huế",
			Marks:     "Nốt ruồi C:1cm trước tai trái",
			Father:    "Hoàng Văn Cha", Mother: "Bùi Thị Mẹ", Spouse: "Ngô Văn Chồng",
			ChipID: "0000000000000005",
		},
		{
			ID: "vu-van-vi-du", Note: "issued less than two years before the 40th birthday, expires on the 60th", Kind: CitizenCard,
			Number: "025083000006", Old: "045678901", State: "VNM",
			Surname: "VU", Given: "VAN VI DU", Name: "Vũ Văn Ví Dụ", Sex: 'M',
			Birth: date(1983, 9, 5), Issue: date(2021, 10, 1), Expiry: date(2043, 9, 5),
			Ethnicity: "Mường", Religion: "Không",
			Hometown:  "Xã D, Huyện E, Phú Thọ",
			Residence: "Khu 6, Xã D, Huyện E, Phú Thọ",
			Marks:     "Sẹo C:2cm dưới cằm",
			Father:    "Vũ Văn Cha", Mother: "Đinh Thị Mẹ", Spouse: "Hà Thị Vợ",
			ChipID: "0000000000000006",
		},
		{
			ID: "dang-thu-nhi", Note: "a child, expires on the 14th birthday", Kind: CitizenCard,
			Number: "001215000007", State: "VNM",
			Surname: "DANG", Given: "THU NHI", Name: "Đặng Thử Nhi", Sex: 'M',
			Birth: date(2015, 5, 5), Issue: date(2024, 8, 1), Expiry: date(2029, 5, 5),
			Ethnicity: "Kinh", Religion: "Không",
			Hometown:  "Phường G, Quận H, Hà Nội",
			Residence: "Số 7, Phường G, Quận H, Hà Nội",
			Father:    "Đặng Văn Cha", Mother: "Lý Thị Mẹ",
			ChipID: "0000000000000007",
		},
		{
			ID: "bui-van-het-han", Note: "expires on the 40th birthday, which is past", Kind: CitizenCard,
			Number: "038083000009", Old: "056789012", State: "VNM",
			Surname: "BUI", Given: "VAN HET HAN", Name: "Bùi Văn Hết Hạn", Sex: 'M',
			// Issued more than two years before the 40th birthday: less would give the 60th.
			Birth: date(1983, 7, 20), Issue: date(2021, 3, 5), Expiry: date(2023, 7, 20),
			Ethnicity: "Kinh", Religion: "Không",
			Hometown:  "Xã K, Huyện L, Thanh Hóa",
			Residence: "Thôn 9, Xã K, Huyện L, Thanh Hóa",
			Marks:     "Sẹo C:1cm trên lông mày phải",
			Father:    "Bùi Văn Cha", Mother: "Lưu Thị Mẹ", Spouse: "Mai Thị Vợ",
			ChipID: "0000000000000009",
		},
		{
			ID: "testa-muster", Note: "the standard passport holder, of the Utopia of Doc 9303", Kind: Passport,
			Number: "T0000008", State: "UTO",
			Surname: "MUSTER", Given: "TESTA", Name: "Testa Muster", Sex: 'F',
			Birth: date(1985, 12, 24), Issue: date(2021, 8, 10), Expiry: date(2031, 8, 9),
		},
	}
}

// Find returns the person with the given ID.
func Find(id string) (Person, bool) {
	for _, p := range People() {
		if p.ID == id {
			return p, true
		}
	}
	return Person{}, false
}

const (
	mrzDate   = "060102"
	noExpiry  = "991231" // of a card that does not expire
	qrDate    = "02012006"
	digits    = 12
	numberLen = 9
)

// mrzExpiry is the date of expiry as the MRZ has it.
func (p Person) mrzExpiry() string {
	if p.Expiry.IsZero() {
		return noExpiry
	}
	return p.Expiry.Format(mrzDate)
}

// mrzNumber is the document number of the MRZ: of a citizen card, the last nine
// of the twelve digits.
func (p Person) mrzNumber() string {
	if p.Kind == CitizenCard && len(p.Number) == digits {
		return p.Number[digits-numberLen:]
	}
	return p.Number
}

// AccessKey is the key of the document's machine readable zone.
func (p Person) AccessKey() (mrz.Key, error) {
	return mrz.NewKey(p.mrzNumber(), p.Birth.Format(mrzDate), p.mrzExpiry())
}

// CAN is the card access number that the chip is given: the last six characters
// of a citizen's number. That it is so on real cards is unconfirmed. It is empty
// for a passport.
func (p Person) CAN() string {
	if p.Kind != CitizenCard || len(p.Number) != digits {
		return ""
	}
	return p.Number[digits-6:]
}

// QR is the text of the QR code on a citizen card of 2021, empty for a passport.
func (p Person) QR() string {
	if p.Kind != CitizenCard {
		return ""
	}
	return strings.Join([]string{
		p.Number, p.Old, p.Name, p.Birth.Format(qrDate), p.SexVietnamese(), p.Residence, p.Issue.Format(qrDate),
	}, "|")
}

// SexVietnamese is the word of DG13 and the QR text.
func (p Person) SexVietnamese() string {
	if p.Sex == 'F' {
		return "Nữ"
	}
	return "Nam"
}

// MRZ returns the lines of the machine readable zone: three of a citizen card,
// two of a passport.
func (p Person) MRZ() []string {
	birth, expiry := withDigit(p.Birth.Format(mrzDate)), withDigit(p.mrzExpiry())
	name := p.Surname + "<<" + strings.ReplaceAll(p.Given, " ", "<")
	sex := string(rune(p.Sex))
	if p.Kind == Passport { // Doc 9303-4, 4.2.2
		number := withDigit(fill(p.mrzNumber(), numberLen))
		optional := strings.Repeat("<", 14) + "0"
		composite, _ := mrz.CheckDigit(number + birth + expiry + optional)
		return []string{
			fill("P<"+p.State+name, 44),
			number + p.State + birth + sex + expiry + optional + string(rune(composite)),
		}
	}
	// Doc 9303-5, 4.2.2; the optional data is the full number and, in its last
	// place, a check digit over it, as on Vietnamese cards.
	full, _ := mrz.CheckDigit(p.Number)
	first := withDigit(fill(p.mrzNumber(), numberLen)) + fill(p.Number, 14) + string(rune(full))
	optional := strings.Repeat("<", 11)
	composite, _ := mrz.CheckDigit(first + birth + expiry + optional)
	return []string{
		"ID" + p.State + first,
		birth + sex + expiry + p.State + optional + string(rune(composite)),
		fill(name, 30),
	}
}

// withDigit appends the check digit; the fields are ours and have the right
// characters.
func withDigit(s string) string {
	cd, _ := mrz.CheckDigit(s)
	return s + string(rune(cd))
}

// fill fills up with fillers, or cuts, to n characters.
func fill(s string, n int) string {
	if len(s) >= n {
		return s[:n]
	}
	return s + strings.Repeat("<", n-len(s))
}

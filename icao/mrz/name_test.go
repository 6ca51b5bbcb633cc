package mrz

import (
	"testing"
)

func TestNameMatches(t *testing.T) {
	tests := []struct {
		name      string
		person    string
		zone      string
		truncated bool
		want      bool
	}{
		{"tone marks", "Nguyễn Văn Thử", "NGUYEN VAN THU", false, true},
		{"decomposed", "Nguye\u0302\u0303n Va\u0306n Thu\u031b\u0309", "NGUYEN VAN THU", false, true},
		{"stroke", "Đặng Thử Nhi", "DANG THU NHI", false, true},
		{"given names first", "Erika Mustermann", "MUSTERMANN ERIKA", false, true},
		{"umlaut written out", "Jörg Müßig", "MUESSIG JOERG", false, true},
		{"umlaut dropped", "Jörg Mülig", "MULIG JORG", false, true},
		{"hyphen and apostrophe", "Anne-Marie O'Neill", "ONEILL ANNE MARIE", false, true},
		{"word missing", "Nguyễn Thử", "NGUYEN VAN THU", false, false},
		{"word more", "Nguyễn Văn Thử Mẫu", "NGUYEN VAN THU", false, false},
		{"other word", "Nguyễn Văn Mẫu", "NGUYEN VAN THU", false, false},
		{"word twice", "Văn Văn Thử", "VAN THU THU", false, false},
		{"empty", "", "", false, true},
		{"cut off", "Nguyễn Phúc Vĩnh Bảo Trường Thọ", "NGUYEN PHUC VINH BAO TRU", true, true},
		{"cut off, another", "Nguyễn Phúc Vĩnh Bảo Khánh", "NGUYEN PHUC VINH BAO TRU", true, false},
		{"cut off, a beginning that another word has too", "An Anh Thu", "ANH AN T", true, true},
		{"cut off, nothing left", "Nguyễn", "", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := nameMatches(tt.person, tt.zone, tt.truncated); got != tt.want {
				t.Errorf("nameMatches = %v, want %v", got, tt.want)
			}
		})
	}
}

package mrz

import (
	"strings"
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

// TestNameMatchesZone: whether a name may be longer than the one in the zone is
// for the zone alone to say, in every format.
func TestNameMatchesZone(t *testing.T) {
	zone := func(f Format, primary, secondary string) MRZ {
		m := MRZ{Layout: f, PrimaryIdentifier: primary, SecondaryIdentifier: secondary}
		name := strings.ReplaceAll(primary+"  "+secondary, " ", "<")
		switch f {
		case TD1:
			m.Lines = []string{strings.Repeat("<", 30), strings.Repeat("<", 30), name + strings.Repeat("<", 30-len(name))}
		case TD2:
			m.Lines = []string{"I<UTO" + name + strings.Repeat("<", 31-len(name)), strings.Repeat("<", 36)}
		case TD3:
			m.Lines = []string{"P<UTO" + name + strings.Repeat("<", 39-len(name)), strings.Repeat("<", 44)}
		}
		return m
	}
	const long = "Nguyễn Phúc Vĩnh Bảo Trường Thọ Khang"
	tests := []struct {
		name               string
		zone               MRZ
		person             string
		mayBeTruncated, ok bool
	}{
		{"TD1, whole", zone(TD1, "NGUYEN", "VAN THU"), "Nguyễn Văn Thử", false, true},
		{"TD1, somebody whose name begins so", zone(TD1, "NGUYEN", "VAN THU"), "Nguyễn Văn Thử Mẫu", false, false},
		{"TD1, somebody else", zone(TD1, "NGUYEN", "VAN THU"), "Trần Thị Khác", false, false},
		{"TD1, cut off", zone(TD1, "NGUYEN", "PHUC VINH BAO TRUONG T"), long, true, true},
		{"TD1, cut off, somebody else", zone(TD1, "NGUYEN", "PHUC VINH BAO TRUONG T"), "Trần Thị Khác", true, false},
		{"TD1, cut off, part of the name", zone(TD1, "NGUYEN", "PHUC VINH BAO TRUONG T"), "Nguyễn Phúc", true, false},
		{"TD1, one place short of full", zone(TD1, "NGUYEN", "PHUC VINH BAO TRUONG "), long, false, false},
		{"TD2, whole", zone(TD2, "NGUYEN", "VAN THU"), "Nguyễn Văn Thử Mẫu", false, false},
		{"TD2, cut off", zone(TD2, "NGUYEN", "PHUC VINH BAO TRUONG TH"), long, true, true},
		{"TD3, whole", zone(TD3, "NGUYEN", "VAN THU"), "Nguyễn Văn Thử Mẫu", false, false},
		{"TD3, long and whole", zone(TD3, "NGUYEN", "PHUC VINH BAO TRUONG THO KHANG"), long + " An", false, false},
		{"no zone", MRZ{}, "Nguyễn Văn Thử", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.zone.NameMayBeTruncated(); got != tt.mayBeTruncated {
				t.Errorf("NameMayBeTruncated = %v, want %v: %q", got, tt.mayBeTruncated, tt.zone.Lines)
			}
			if got := tt.zone.NameMatches(tt.person); got != tt.ok {
				t.Errorf("NameMatches = %v, want %v", got, tt.ok)
			}
		})
	}
}

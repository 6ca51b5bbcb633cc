package lds_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/chamthe/chamthe/icao/apdu"
	"github.com/chamthe/chamthe/icao/face"
	"github.com/chamthe/chamthe/icao/lds"
	"github.com/chamthe/chamthe/icao/tlv"
)

// obj writes one data object of texts and of others.
func obj(tag tlv.Tag, parts ...any) []byte {
	var v []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			v = append(v, p...)
		case []byte:
			v = append(v, p...)
		}
	}
	return tlv.Append(nil, tag, v)
}

// listed writes a group with its list of elements.
func listed(group tlv.Tag, elements ...[]byte) []byte {
	var list []byte
	for _, e := range elements {
		tag, _ := tlv.String(e).PeekTag()
		header := tlv.Append(nil, tag, nil)
		list = append(list, header[:len(header)-1]...)
	}
	return obj(group, obj(0x5C, list), slices.Concat(elements...))
}

// R21: dates in characters and packed, names outside their template, elements
// that nobody knows: all of it is read, and all of it is noted.
func TestParseDG11(t *testing.T) {
	t.Parallel()
	name := obj(0x5F0E, "NGUYỄN<<VĂN<THỬ")
	want := lds.DG11{Name: lds.PersonName{Primary: "NGUYỄN", Secondary: "VĂN THỬ"}}
	with := func(change func(*lds.DG11), dev ...string) lds.DG11 {
		d := want
		d.Deviations = dev
		if change != nil {
			change(&d)
		}
		return d
	}
	birth := func(year, month, day int) func(*lds.DG11) {
		return func(d *lds.DG11) { d.DateOfBirth = lds.Date{Year: year, Month: month, Day: day} }
	}
	rest := func(tag tlv.Tag, value string) func(*lds.DG11) {
		return func(d *lds.DG11) { d.Rest = append(d.Rest, lds.Element{Tag: tag, Value: []byte(value)}) }
	}
	others := func(d *lds.DG11) {
		d.OtherNames = []lds.PersonName{{Primary: "TRẦN", Secondary: "MẬU"}, {Primary: "LÊ"}}
	}
	names := func(count ...byte) []byte {
		return obj(0xA0, count, obj(0x5F0F, "TRẦN<<MẬU"), obj(0x5F0F, "LÊ"))
	}
	long := strings.Repeat("x", 100)
	tests := []struct {
		name string
		file []byte
		want lds.DG11
		err  error
	}{
		{name: "name", file: listed(0x6B, name), want: want},
		{name: "nothing", file: listed(0x6B), want: lds.DG11{}},
		{
			name: "everything", file: listed(0x6B, name, names(2, 1, 2), obj(0x5F10, "001099000001"), obj(0x5F2B, "19990131"),
				obj(0x5F11, "HÀ NỘI<VNM"), obj(0x5F42, "SỐ 1<HÀ NỘI"), obj(0x5F12, "+84240000000"), obj(0x5F13, "GIÁO<VIÊN"), obj(0x5F14, "TS"),
				obj(0x5F15, "TÓM TẮT"), obj(0x5F16, tinyJPEG), obj(0x5F17, "C0000001<C0000002"), obj(0x5F18, long)),
			want: with(func(d *lds.DG11) {
				others(d)
				birth(1999, 1, 31)(d)
				d.PersonalNumber, d.PlaceOfBirth, d.Address = "001099000001", []string{"HÀ NỘI", "VNM"}, []string{"SỐ 1", "HÀ NỘI"}
				d.Telephone, d.Profession, d.Title, d.Summary = "+84240000000", "GIÁO VIÊN", "TS", "TÓM TẮT"
				d.Citizenship = face.Image{Codec: face.JPEG, Data: tinyJPEG}
				d.OtherDocuments, d.Custody = []string{"C0000001", "C0000002"}, long
			}),
		},

		{name: "R21 date in characters", file: listed(0x6B, name, obj(0x5F2B, "19990131")), want: with(birth(1999, 1, 31))},
		{name: "R21 date packed", file: listed(0x6B, name, obj(0x5F2B, []byte{0x19, 0x99, 0x01, 0x31})), want: with(birth(1999, 1, 31), lds.DevBCD)},
		{name: "day not known", file: listed(0x6B, name, obj(0x5F2B, "19990100")), want: with(birth(1999, 1, 0))},
		{name: "month and day not known", file: listed(0x6B, name, obj(0x5F2B, "19990000")), want: with(birth(1999, 0, 0))},
		{name: "year not known", file: listed(0x6B, name, obj(0x5F2B, "00000229")), want: with(birth(0, 2, 29))},
		{name: "leap day", file: listed(0x6B, name, obj(0x5F2B, "20000229")), want: with(birth(2000, 2, 29))},
		{name: "no leap day", file: listed(0x6B, name, obj(0x5F2B, "19000229")), want: with(rest(0x5F2B, "19000229"), lds.DevValue)},
		{name: "month 13", file: listed(0x6B, name, obj(0x5F2B, "19991301")), want: with(rest(0x5F2B, "19991301"), lds.DevValue)},
		{name: "31 April", file: listed(0x6B, name, obj(0x5F2B, "19990431")), want: with(rest(0x5F2B, "19990431"), lds.DevValue)},
		{name: "date as people write it", file: listed(0x6B, name, obj(0x5F2B, "31.01.1999")), want: with(rest(0x5F2B, "31.01.1999"), lds.DevValue)},
		{name: "packed letters", file: listed(0x6B, name, obj(0x5F2B, "\x19\x9A\x01\x31")), want: with(rest(0x5F2B, "\x19\x9A\x01\x31"), lds.DevValue)},
		{name: "empty date", file: listed(0x6B, name, obj(0x5F2B)), want: with(rest(0x5F2B, ""), lds.DevValue)},

		{name: "R21 element that nobody knows", file: listed(0x6B, name, obj(0x5F70, "x")), want: with(rest(0x5F70, "x"), lds.DevUnknown)},
		{name: "element twice", file: listed(0x6B, name, obj(0x5F0E, "LÊ")), want: with(rest(0x5F0E, "LÊ"), lds.DevTwice)},
		{name: "text in another encoding", file: listed(0x6B, name, obj(0x5F13, "caf\xE9")), want: with(rest(0x5F13, "caf\xE9"), lds.DevValue)},
		{name: "control characters", file: listed(0x6B, name, obj(0x5F10, "1\n2\u009b")), want: with(func(d *lds.DG11) { d.PersonalNumber = "1 2 " }, lds.DevControl)},
		{name: "99 bytes", file: listed(0x6B, name, obj(0x5F14, long[:99])), want: with(func(d *lds.DG11) { d.Title = long[:99] })},
		{name: "100 bytes", file: listed(0x6B, name, obj(0x5F14, long)), want: with(func(d *lds.DG11) { d.Title = long }, lds.DevTooLong)},
		{name: "empty fields of an address", file: listed(0x6B, name, obj(0x5F42, "<A<<B C<")), want: with(func(d *lds.DG11) { d.Address = []string{"A", "B C"} })},
		{name: "fillers at the end of a name", file: listed(0x6B, obj(0x5F0E, "NGUYỄN<<VĂN<THỬ<<<")), want: with(nil, lds.DevFiller)},
		{name: "name of fillers", file: listed(0x6B, obj(0x5F0E, "<<<")), want: lds.DG11{Rest: []lds.Element{{Tag: 0x5F0E, Value: []byte("<<<")}}, Deviations: []string{lds.DevFiller, lds.DevValue}}},
		{name: "picture of another kind", file: listed(0x6B, name, obj(0x5F16, "GIF89a")), want: with(func(d *lds.DG11) { d.Citizenship = face.Image{Data: []byte("GIF89a")} }, lds.DevPicture)},
		{name: "picture of no bytes", file: listed(0x6B, name, obj(0x5F16)), want: with(rest(0x5F16, ""), lds.DevValue)},

		{name: "other names, listed by their own tag", file: obj(0x6B, obj(0x5C, []byte{0x5F, 0x0E, 0x5F, 0x0F}), name, names(2, 1, 2)), want: with(others)},
		{name: "wrong number of other names", file: listed(0x6B, name, names(2, 1, 3)), want: with(others, lds.DevCount)},
		{name: "no number of other names", file: listed(0x6B, name, names()), want: with(others, lds.DevCount)},
		{name: "R21 other names without their template", file: obj(0x6B, obj(0x5C, []byte{0x5F, 0x0E, 0x5F, 0x0F}), name, obj(0x5F0F, "TRẦN<<MẬU"), obj(0x5F0F, "LÊ")), want: with(others, lds.DevBareNames)},
		{name: "something else among other names", file: listed(0x6B, name, obj(0xA0, obj(0x5F10, "1"))), want: with(rest(0xA0, "\x5F\x10\x011"), lds.DevValue)},
		{name: "other names twice", file: listed(0x6B, name, names(2, 1, 2), obj(0xA0)), want: with(func(d *lds.DG11) { others(d); rest(0xA0, "")(d) }, lds.DevTwice)},

		{name: "no list", file: obj(0x6B, name), want: with(nil, lds.DevTagList)},
		{name: "element not listed", file: obj(0x6B, obj(0x5C), name), want: with(nil, lds.DevUnlisted)},
		{name: "list behind", file: obj(0x6B, name, obj(0x5C, []byte{0x5F, 0x0E})), want: with(rest(0x5C, "\x5F\x0E"), lds.DevTagList, lds.DevUnknown)},
		{name: "padding", file: append(listed(0x6B, name), 0, 0), want: with(nil, lds.DevPadding)},
		{name: "long form of a short length", file: slices.Concat([]byte{0x6B, 0x81, listed(0x6B, name)[1]}, listed(0x6B, name)[2:]), want: with(nil, lds.DevLength)},

		{name: "list ends in a tag", file: obj(0x6B, obj(0x5C, []byte{0x5F})), err: lds.ErrDG11},
		{name: "element longer than the file", file: obj(0x6B, obj(0x5C), []byte{0x5F, 0x0E, 9, 'A'}), err: lds.ErrDG11},
		{name: "too many elements", file: obj(0x6B, obj(0x5C), bytes.Repeat(obj(0x5F70), 65)), err: lds.ErrDG11},
		{name: "other tag", file: listed(0x6C, name), err: lds.ErrTemplate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := lds.ParseDG11(tt.file)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if !equal(got, tt.want) {
				t.Errorf("got  %s\nwant %s", all(got), all(tt.want))
			}
		})
	}
}

// equal compares ignoring the difference between no bytes and none.
func equal(a, b any) bool { return all(a) == all(b) }

// all prints what the String methods hide. Every person here is synthetic.
func all(v any) string {
	var b strings.Builder
	show(&b, reflect.ValueOf(v))
	return b.String()
}

func show(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		b.WriteString("{")
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				b.WriteString(v.Type().Field(i).Name + ":")
				show(b, v.Field(i))
				b.WriteString(" ")
			}
		}
		b.WriteString("}")
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			fmt.Fprintf(b, "%q", v.Bytes())
			return
		}
		for i := range v.Len() {
			show(b, v.Index(i))
			b.WriteString(";")
		}
	case reflect.String:
		fmt.Fprintf(b, "%q", v.String())
	case reflect.Uint8, reflect.Uint32:
		fmt.Fprintf(b, "%X", v.Uint())
	case reflect.Int:
		fmt.Fprintf(b, "%d", v.Int())
	default:
		panic("kind " + v.Kind().String())
	}
}

func TestParseDG12(t *testing.T) {
	t.Parallel()
	authority := obj(0x5F19, "CỤC<CẢNH<SÁT")
	want := lds.DG12{IssuingAuthority: "CỤC CẢNH SÁT"}
	with := func(change func(*lds.DG12), dev ...string) lds.DG12 {
		d := want
		d.Deviations = dev
		if change != nil {
			change(&d)
		}
		return d
	}
	rest := func(tag tlv.Tag, value string) func(*lds.DG12) {
		return func(d *lds.DG12) { d.Rest = append(d.Rest, lds.Element{Tag: tag, Value: []byte(value)}) }
	}
	at := lds.DateTime{Date: lds.Date{Year: 2024, Month: 7, Day: 1}, Hour: 23, Minute: 59, Second: 58}
	tests := []struct {
		name string
		file []byte
		want lds.DG12
		err  error
	}{
		{name: "authority", file: listed(0x6C, authority), want: want},
		{
			name: "everything", file: listed(0x6C, authority, obj(0x5F26, "20240701"), obj(0xA0, []byte{2, 1, 1}, obj(0x5F1A, "LÊ<<AN")),
				obj(0x5F1B, "NO<NOTES"), obj(0x5F1C, "NONE"), obj(0x5F1D, tinyJPEG), obj(0x5F1E, []byte{0xFF, 0x4F, 0xFF, 0x51}), obj(0x5F55, "20240701235958"), obj(0x5F56, "S<1")),
			want: with(func(d *lds.DG12) {
				d.DateOfIssue, d.OtherPersons = at.Date, []lds.PersonName{{Primary: "LÊ", Secondary: "AN"}}
				d.Endorsements, d.TaxExit, d.SystemSerial, d.Personalised = "NO NOTES", "NONE", "S<1", at
				d.Front = face.Image{Codec: face.JPEG, Data: tinyJPEG}
				d.Rear = face.Image{Codec: face.JPEG2000, Data: []byte{0xFF, 0x4F, 0xFF, 0x51}}
			}),
		},
		{
			name: "R21 date and time packed", file: listed(0x6C, authority, obj(0x5F26, "\x20\x24\x07\x01"), obj(0x5F55, "\x20\x24\x07\x01\x23\x59\x58")),
			want: with(func(d *lds.DG12) { d.DateOfIssue, d.Personalised = at.Date, at }, lds.DevBCD),
		},
		{name: "hour 24", file: listed(0x6C, authority, obj(0x5F55, "20240701240000")), want: with(rest(0x5F55, "20240701240000"), lds.DevValue)},
		{name: "minute 60", file: listed(0x6C, authority, obj(0x5F55, "20240701236000")), want: with(rest(0x5F55, "20240701236000"), lds.DevValue)},
		{name: "leap second", file: listed(0x6C, authority, obj(0x5F55, "20240701235960")), want: with(func(d *lds.DG12) {
			d.Personalised = at
			d.Personalised.Second = 60
		})},
		{name: "second 61", file: listed(0x6C, authority, obj(0x5F55, "20240701235961")), want: with(rest(0x5F55, "20240701235961"), lds.DevValue)},
		{name: "date without time", file: listed(0x6C, authority, obj(0x5F55, "20240701")), want: with(rest(0x5F55, "20240701"), lds.DevValue)},
		{name: "time of a month that is not", file: listed(0x6C, authority, obj(0x5F55, "20241301000000")), want: with(rest(0x5F55, "20241301000000"), lds.DevValue)},
		{name: "persons without their template", file: listed(0x6C, authority, obj(0x5F1A, "LÊ<<AN")), want: with(func(d *lds.DG12) { d.OtherPersons = []lds.PersonName{{Primary: "LÊ", Secondary: "AN"}} }, lds.DevBareNames)},
		{name: "tag that does not end", file: obj(0x6C, obj(0x5C), []byte{0x5F, 0x85, 0x81, 0x82}), err: lds.ErrDG12},
		{name: "element of another group", file: listed(0x6C, authority, obj(0x5F0E, "x")), want: with(rest(0x5F0E, "x"), lds.DevUnknown)},
		{name: "other tag", file: listed(0x6B, authority), err: lds.ErrTemplate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := lds.ParseDG12(tt.file)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if !equal(got, tt.want) {
				t.Errorf("got  %s\nwant %s", all(got), all(tt.want))
			}
		})
	}
}

func TestParseDG7(t *testing.T) {
	t.Parallel()
	picture := obj(0x5F43, tinyJPEG)
	tests := []struct {
		name   string
		file   []byte
		images int
		devs   []string
		err    error
	}{
		{name: "one", file: obj(0x67, []byte{2, 1, 1}, picture), images: 1},
		{name: "JPEG 2000", file: obj(0x67, []byte{2, 1, 1}, obj(0x5F43, "\xFF\x4F\xFF\x51")), images: 1},
		{name: "nine", file: obj(0x67, []byte{2, 1, 9}, bytes.Repeat(picture, 9)), images: 9},
		{name: "ten", file: obj(0x67, []byte{2, 1, 10}, bytes.Repeat(picture, 10)), err: lds.ErrDG7},
		{name: "number missing", file: obj(0x67, picture), images: 1, devs: []string{lds.DevCount}},
		{name: "number of two bytes", file: obj(0x67, []byte{2, 2, 0, 1}, picture), images: 1, devs: []string{lds.DevCount}},
		{name: "number wrong", file: obj(0x67, []byte{2, 1, 2}, picture), images: 1, devs: []string{lds.DevCount}},
		{name: "picture of another kind", file: obj(0x67, []byte{2, 1, 1}, obj(0x5F43, "GIF89a")), images: 1, devs: []string{lds.DevPicture}},
		{name: "picture of no bytes besides one", file: obj(0x67, []byte{2, 1, 1}, obj(0x5F43), picture), images: 1, devs: []string{lds.DevValue}},
		{name: "something else besides", file: obj(0x67, []byte{2, 1, 1}, obj(0x5F40, tinyJPEG), picture), images: 1, devs: []string{lds.DevUnknown}},
		{name: "none", file: obj(0x67, []byte{2, 1, 0}), err: lds.ErrDG7},
		{name: "number cut off", file: obj(0x67, []byte{2, 1}), err: lds.ErrDG7},
		{name: "picture cut off", file: obj(0x67, []byte{2, 1, 1}, picture[:5]), err: lds.ErrDG7},
		{name: "other tag", file: obj(0x65, []byte{2, 1, 1}, picture), err: lds.ErrTemplate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := lds.ParseDG7(tt.file)
			if !errors.Is(err, tt.err) || len(got.Images) != tt.images || !slices.Equal(got.Deviations, tt.devs) {
				t.Fatalf("%d pictures, %q, %v; want %d, %q, %v", len(got.Images), got.Deviations, err, tt.images, tt.devs, tt.err)
			}
			for _, img := range got.Images {
				if img.Codec != face.Detect(img.Data) || len(img.Data) == 0 {
					t.Errorf("picture %v", img)
				}
			}
		})
	}
}

func TestParseDG16(t *testing.T) {
	t.Parallel()
	person := func(tag tlv.Tag) []byte {
		return obj(tag, obj(0x5F50, "20020101"), obj(0x5F51, "SMITH<<CHARLES<R"), obj(0x5F52, "19525551212"), obj(0x5F53, "ANYTOWN<MN"))
	}
	whole := lds.Person{
		Recorded: lds.Date{Year: 2002, Month: 1, Day: 1}, Name: lds.PersonName{Primary: "SMITH", Secondary: "CHARLES R"},
		Telephone: "19525551212", Address: []string{"ANYTOWN", "MN"},
	}
	fifteen := []byte{2, 1, 15}
	for tag := tlv.Tag(0xA1); tag <= 0xAF; tag++ {
		fifteen = append(fifteen, person(tag)...)
	}
	tests := []struct {
		name string
		file []byte
		want []lds.Person
		devs []string
		err  error
	}{
		{name: "one", file: obj(0x70, []byte{2, 1, 1}, person(0xA1)), want: []lds.Person{whole}},
		{name: "fifteen", file: obj(0x70, fifteen), want: slices.Repeat([]lds.Person{whole}, 15)},
		{name: "sixteen", file: obj(0x70, fifteen, person(0xA1)), err: lds.ErrDG16},
		{name: "none", file: obj(0x70, []byte{2, 1, 0})},
		{name: "no number", file: obj(0x70, person(0xA1)), want: []lds.Person{whole}, devs: []string{lds.DevCount}},
		{name: "other number", file: obj(0x70, []byte{2, 1, 2}, person(0xA1)), want: []lds.Person{whole}, devs: []string{lds.DevCount}},
		{name: "same tag twice", file: obj(0x70, []byte{2, 1, 2}, person(0xA1), person(0xA1)), want: []lds.Person{whole, whole}, devs: []string{lds.DevPersonTag}},
		{name: "R21 date packed", file: obj(0x70, []byte{2, 1, 1}, obj(0xA1, obj(0x5F50, "\x20\x02\x01\x01"), obj(0x5F51, "SMITH<<CHARLES<R"), obj(0x5F52, "19525551212"), obj(0x5F53, "ANYTOWN<MN"))), want: []lds.Person{whole}, devs: []string{lds.DevBCD}},
		{name: "name alone", file: obj(0x70, []byte{2, 1, 1}, obj(0xA1, obj(0x5F51, "SMITH"))), want: []lds.Person{{Name: lds.PersonName{Primary: "SMITH"}}}, devs: []string{lds.DevIncomplete}},
		{name: "element that nobody knows", file: obj(0x70, []byte{2, 1, 1}, obj(0xA1, person(0xA1)[2:], obj(0x5F54, "x"))), want: []lds.Person{
			{Recorded: whole.Recorded, Name: whole.Name, Telephone: whole.Telephone, Address: whole.Address, Rest: []lds.Element{{Tag: 0x5F54, Value: []byte("x")}}},
		}, devs: []string{lds.DevUnknown}},
		{name: "something else besides", file: obj(0x70, []byte{2, 1, 1}, obj(0xB1), person(0xA1)), want: []lds.Person{whole}, devs: []string{lds.DevUnknown}},
		{name: "second person noted apart", file: obj(0x70, []byte{2, 1, 2}, obj(0xA1), person(0xA2)), want: []lds.Person{{}, whole}, devs: []string{lds.DevIncomplete}},
		{name: "cut off", file: obj(0x70, []byte{2, 1, 1}, []byte{0xA1, 3, 0x5F, 0x51, 9}), err: lds.ErrDG16},
		{name: "number cut off", file: obj(0x70, []byte{2, 1}), err: lds.ErrDG16},
		{name: "other tag", file: obj(0x6F, []byte{2, 1, 0}), err: lds.ErrTemplate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := lds.ParseDG16(tt.file)
			if !errors.Is(err, tt.err) || !slices.Equal(got.Deviations, tt.devs) || !equal(got.Persons, tt.want) {
				t.Errorf("got %s %q %v\nwant %s %q %v", all(got.Persons), got.Deviations, err, all(tt.want), tt.devs, tt.err)
			}
		})
	}
}

// R18: a malformed EF.DIR is an error that a reader may ignore.
func TestParseDIR(t *testing.T) {
	t.Parallel()
	aid := lds.AID()
	app := obj(0x61, obj(0x4F, aid))
	visa := []byte{0xA0, 0, 0, 2, 0x47, 0x20, 2}
	other := obj(0x61, obj(0x4F, visa))
	tests := []struct {
		name string
		file []byte
		aids [][]byte
		devs []string
		err  error
	}{
		{name: "eMRTD alone", file: app, aids: [][]byte{aid}},
		{name: "two in any order", file: slices.Concat(other, app), aids: [][]byte{visa, aid}},
		{name: "with a label", file: obj(0x61, obj(0x50, "eMRTD"), obj(0x4F, aid)), aids: [][]byte{aid}},
		{name: "padding", file: append(slices.Clone(app), 0, 0), aids: [][]byte{aid}, devs: []string{lds.DevPadding}},
		{name: "eMRTD not listed", file: other, aids: [][]byte{visa}, devs: []string{lds.DevNoEMRTD}},
		{name: "template without identifier", file: slices.Concat(app, obj(0x61, obj(0x50, "x"))), aids: [][]byte{aid}, devs: []string{lds.DevNoAID}},
		{name: "identifier without template", file: slices.Concat(app, obj(0x4F, visa)), aids: [][]byte{aid, visa}, devs: []string{lds.DevAIDShape}},
		{name: "short identifier", file: slices.Concat(app, obj(0x61, obj(0x4F, "1234"))), aids: [][]byte{aid, []byte("1234")}, devs: []string{lds.DevAIDShape}},
		{name: "shortest and longest identifier", file: slices.Concat(app, obj(0x61, obj(0x4F, "12345")), obj(0x61, obj(0x4F, "1234567890123456"))), aids: [][]byte{aid, []byte("12345"), []byte("1234567890123456")}},
		{name: "long identifier", file: slices.Concat(app, obj(0x61, obj(0x4F, "12345678901234567"))), aids: [][]byte{aid, []byte("12345678901234567")}, devs: []string{lds.DevAIDShape}},
		{name: "as many as are read", file: bytes.Repeat(app, 32), aids: slices.Repeat([][]byte{aid}, 32)},
		{name: "something else", file: slices.Concat(obj(0x73, "x"), app), aids: [][]byte{aid}, devs: []string{lds.DevUnknown}},
		{name: "empty", devs: []string{lds.DevNoEMRTD}},
		{name: "two identifiers in a template", file: obj(0x61, obj(0x4F, aid), obj(0x4F, visa)), err: lds.ErrDIR},
		{name: "cut off", file: app[:8], err: lds.ErrDIR},
		{name: "identifier cut off", file: obj(0x61, []byte{0x4F, 7, 1}), err: lds.ErrDIR},
		{name: "too many", file: bytes.Repeat(app, 33), err: lds.ErrDIR},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := lds.ParseDIR(tt.file)
			if !errors.Is(err, tt.err) || !slices.EqualFunc(got.AIDs, tt.aids, bytes.Equal) || !slices.Equal(got.Deviations, tt.devs) {
				t.Errorf("got %x %q %v, want %x %q %v", got.AIDs, got.Deviations, err, tt.aids, tt.devs, tt.err)
			}
			for _, a := range tt.aids {
				if !got.Has(a) {
					t.Errorf("%x is not there", a)
				}
			}
			if got.Has(nil) {
				t.Error("no identifier is there")
			}
		})
	}
}

// Nothing that is printed shows a person, whatever the verb and however deep.
func TestPrintingShowsNobody(t *testing.T) {
	t.Parallel()
	const secret = "SECRET"
	d11, err := lds.ParseDG11(listed(0x6B, obj(0x5F0E, secret), obj(0xA0, []byte{2, 1, 1}, obj(0x5F0F, secret)), obj(0x5F10, secret), obj(0x5F70, secret)))
	if err != nil {
		t.Fatal(err)
	}
	d12, err := lds.ParseDG12(listed(0x6C, obj(0x5F19, secret), obj(0x5F1B, secret)))
	if err != nil {
		t.Fatal(err)
	}
	d16, err := lds.ParseDG16(obj(0x70, obj(0xA1, obj(0x5F51, secret), obj(0x5F54, secret))))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{d11, &d11, d11.Name, d11.OtherNames, d11.Rest, d12, &d12, d16, d16.Persons[0]} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, secret) || strings.Contains(s, fmt.Sprintf("%x", secret)) || strings.Contains(s, "0x53, 0x45") {
				t.Errorf("%T with %s prints %s", v, verb, s)
			}
		}
	}
	if got := d11.Rest[0].String(); got != "5F70 of 6 bytes" {
		t.Errorf("element prints as %q", got)
	}
}

// BSI TR-03105-5.1, LDS_A: EF.COM.
func TestCheckCOM(t *testing.T) {
	t.Parallel()
	version, unicode, list := obj(0x5F01, "0107"), obj(0x5F36, "040000"), obj(0x5C, "\x61\x75")
	good := obj(0x60, version, unicode, list)
	tests := []struct {
		name string
		file []byte
		devs []string
		err  error
	}{
		{name: "default", file: good},
		{name: "LDS_A_01 other tag", file: append([]byte{0x61}, good[1:]...), err: lds.ErrTemplate},
		{name: "LDS_A_02 length too small", file: slices.Concat([]byte{0x60, good[1] - 1}, good[2:]), err: lds.ErrTemplate},
		{name: "LDS_A_03 length too big", file: slices.Concat([]byte{0x60, good[1] + 1}, good[2:]), err: lds.ErrTemplate},
		{name: "LDS_A_04 LDS version 3.0", file: obj(0x60, obj(0x5F01, "0300"), unicode, list), devs: []string{lds.DevLDSVersion}},
		{name: "LDS_A_05 no LDS version", file: obj(0x60, unicode, list), err: lds.ErrCOM},
		{name: "LDS_A_06 Unicode version 5.0.0", file: obj(0x60, version, obj(0x5F36, "050000"), list), devs: []string{lds.DevUnicodeVersion}},
		{name: "LDS_A_07 no Unicode version", file: obj(0x60, version, list), err: lds.ErrCOM},
		{name: "LDS_A_08 no DG1", file: obj(0x60, version, unicode, obj(0x5C, "\x75")), devs: []string{lds.DevCOMMandatory}},
		{name: "no DG2", file: obj(0x60, version, unicode, obj(0x5C, "\x61")), devs: []string{lds.DevCOMMandatory}},
		{name: "LDS_A_09 no list", file: obj(0x60, version, unicode), err: lds.ErrCOM},
		{name: "LDS_A_10 LDS version 1.8", file: obj(0x60, obj(0x5F01, "0108"), unicode, list)},
		{name: "group twice", file: obj(0x60, version, unicode, obj(0x5C, "\x61\x75\x61")), devs: []string{lds.DevCOMList}},
		{name: "64 tags", file: obj(0x60, version, unicode, obj(0x5C, strings.Repeat("\x61\x75", 32))), devs: []string{lds.DevCOMList}},
		{name: "65 tags", file: obj(0x60, version, unicode, obj(0x5C, strings.Repeat("\x61\x75", 32), "\x61")), err: lds.ErrCOM},
		{name: "list ends in a tag", file: obj(0x60, version, unicode, obj(0x5C, "\x61\x75\x5F")), err: lds.ErrCOM},
		{name: "tag of no group", file: obj(0x60, version, unicode, obj(0x5C, "\x61\x75\x77")), devs: []string{lds.DevCOMList}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var devs []string
			var err error
			for _, f := range lds.Check(lds.EFCOM, tt.file) {
				if f.Err != nil {
					err = f.Err
				} else {
					devs = append(devs, f.Deviation)
				}
				if !strings.HasPrefix(f.String(), "EF.COM: lds: ") {
					t.Errorf("finding prints as %q", f)
				}
			}
			if !errors.Is(err, tt.err) || !slices.Equal(devs, tt.devs) {
				t.Errorf("got %q, %v; want %q, %v", devs, err, tt.devs, tt.err)
			}
		})
	}
}

// Check knows each file, and refuses the tag of another one.
func TestCheckFiles(t *testing.T) {
	t.Parallel()
	all := []lds.File{lds.EFCOM, lds.EFSOD, lds.EFATRInfo, lds.EFDIR, lds.EFCardAccess, lds.EFCardSecurity}
	for n := 1; n <= 16; n++ {
		f, _ := lds.DataGroup(n)
		all = append(all, f)
	}
	good := map[string][]byte{
		"DG2": faceGroup(faceRecord(0, tinyJPEG)), "DG7": obj(0x67, []byte{2, 1, 1}, obj(0x5F43, tinyJPEG)),
		"EF.DIR": obj(0x61, obj(0x4F, lds.AID())), "EF.CardSecurity": obj(0x30, obj(0x06)),
	}
	for _, s := range samples(t) {
		if s.Valid && good[s.File] == nil {
			good[s.File] = s.bytes(t)
		}
	}
	for _, f := range all {
		b, ok := good[f.Name]
		if !ok && f.DG != 0 {
			b, ok = obj(f.Tag, "x"), true // groups of which only the outermost object is looked at
		}
		if ok {
			if found := lds.Check(f, b); found != nil {
				t.Errorf("%s: %v", f, found)
			}
			padded := append(slices.Clone(b), 0)
			if found := lds.Check(f, padded); len(found) != 1 || found[0].Err != nil || found[0].File != f {
				t.Errorf("%s with padding: %v", f, found)
			}
		}
		for _, bad := range [][]byte{{0x42, 0x05}, obj(0x7F, "x")[:2]} {
			if found := lds.Check(f, bad); len(found) != 1 || found[0].Err == nil {
				t.Errorf("%s: %x is accepted: %v", f, bad, found)
			}
		}
	}
}

// BSI TR-03105-5.1, LDS_H_90 to LDS_H_92: EF.COM against EF.SOD.
func TestCompareCOM(t *testing.T) {
	t.Parallel()
	com := func(tags ...tlv.Tag) lds.COM {
		return lds.COM{LDSVersion: "0107", UnicodeVersion: "040000", Tags: tags}
	}
	signed := func(groups ...int) *lds.LDSSecurityObject {
		o := &lds.LDSSecurityObject{Hashes: map[int][]byte{}}
		for _, dg := range groups {
			o.Hashes[dg] = []byte{1}
		}
		return o
	}
	versions := func(ldsVersion, unicode string) *lds.LDSSecurityObject {
		o := signed(1, 2)
		o.Version, o.LDSVersion, o.UnicodeVersion = 1, ldsVersion, unicode
		return o
	}
	tests := []struct {
		name   string
		com    lds.COM
		object *lds.LDSSecurityObject
		want   []lds.Difference
		text   string
	}{
		{name: "the same", com: com(0x61, 0x75, 0x6E), object: signed(14, 2, 1)},
		{name: "LDS_H_90 more in EF.SOD", com: com(0x61, 0x75), object: signed(1, 2, 3), want: []lds.Difference{{Kind: lds.NotInCOM, DG: 3}}, text: "[DG3: not in EF.COM]"},
		{name: "LDS_H_91 less in EF.SOD", com: com(0x61, 0x75, 0x6E), object: signed(1, 14), want: []lds.Difference{{Kind: lds.NotInSOD, DG: 2}}, text: "[DG2: not in EF.SOD]"},
		{name: "LDS_H_92 as many, others", com: com(0x61, 0x75), object: signed(1, 3), want: []lds.Difference{{Kind: lds.NotInSOD, DG: 2}, {Kind: lds.NotInCOM, DG: 3}}, text: "[DG2: not in EF.SOD DG3: not in EF.COM]"},
		{name: "group twice and tags of no group", com: com(0x61, 0x61, 0x75, 0x77, 0x5F70), object: signed(1, 2)},
		{name: "nothing listed", com: com(), object: signed(16), want: []lds.Difference{{Kind: lds.NotInCOM, DG: 16}}, text: "[DG16: not in EF.COM]"},
		{name: "LDS 1.8, same versions", com: com(0x61, 0x75), object: versions("0107", "040000")},
		{name: "LDS 1.8, other LDS version", com: com(0x61, 0x75), object: versions("0108", "040000"), want: []lds.Difference{{Kind: lds.LDSVersion}}, text: "[LDS version]"},
		{name: "LDS 1.8, other Unicode version", com: com(0x61, 0x75), object: versions("0107", "050000"), want: []lds.Difference{{Kind: lds.UnicodeVersion}}, text: "[Unicode version]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := lds.CompareCOM(tt.com, tt.object)
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if text := fmt.Sprint(got); got != nil && text != tt.text {
				t.Errorf("prints as %s, want %s", text, tt.text)
			}
		})
	}
	if s := fmt.Sprint(lds.DifferenceKind(0), lds.DifferenceKind(9)); s != "none lds.DifferenceKind(9)" {
		t.Errorf("kinds print as %q", s)
	}
}

// A refuser answers READ BINARY by short identifier, SELECT and READ BINARY of
// the selected file each with a status word.
type refuser struct{ sfi, selected, read apdu.Status }

func (r refuser) Do(_ context.Context, c apdu.Command) (apdu.Response, error) {
	switch {
	case c.INS == 0xA4:
		return apdu.Response{SW: r.selected}, nil
	case c.P1&0x80 != 0:
		return apdu.Response{SW: r.sfi}, nil
	}
	return apdu.Response{SW: r.read}, nil
}

// R18: fingers and irises are kept back in more than one way. Each is a state
// of that group and not a failure of the reading.
func TestFingersAndIrisesDenied(t *testing.T) {
	t.Parallel()
	const security, conditions = apdu.SecurityStatusNotSatisfied, apdu.ConditionsNotSatisfied
	for name, r := range map[string]refuser{
		"at once":                               {sfi: security},
		"at SELECT, 6982":                       {sfi: apdu.FileNotFound, selected: security},
		"at SELECT, 6985":                       {sfi: conditions, selected: conditions},
		"at READ BINARY, 6982":                  {sfi: apdu.FunctionNotSupported, selected: apdu.OK, read: security},
		"at READ BINARY, 6985":                  {sfi: apdu.FunctionNotSupported, selected: apdu.OK, read: conditions},
		"at READ BINARY, 6985 to both commands": {sfi: conditions, selected: apdu.OK, read: conditions},
	} {
		for _, dg := range []int{3, 4} {
			f, _ := lds.DataGroup(dg)
			if _, err := lds.ReadFile(t.Context(), r, f, nil); !errors.Is(err, lds.ErrAccessDenied) {
				t.Errorf("%s, %s: %v", f, name, err)
			}
		}
	}
	f, _ := lds.DataGroup(3)
	if _, err := lds.ReadFile(t.Context(), refuser{sfi: apdu.FileNotFound, selected: apdu.FileNotFound}, f, nil); !errors.Is(err, lds.ErrNoFile) {
		t.Errorf("absent: %v", err)
	}
}

package theme_test

import (
	"bytes"
	"image/color"
	"math"
	"testing"

	"fyne.io/fyne/v2"
	fynetheme "fyne.io/fyne/v2/theme"
	"github.com/go-text/typesetting/font"

	"github.com/chamthe/chamthe/ui/model"
	"github.com/chamthe/chamthe/ui/theme"
)

// luminance is the relative luminance of WCAG 2.1.
func luminance(c color.NRGBA) float64 {
	f := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*f(c.R) + 0.7152*f(c.G) + 0.0722*f(c.B)
}

func contrast(a, b color.NRGBA) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestContrast(t *testing.T) {
	// The examples of WCAG: black on white is 21 to 1, a colour on itself 1 to 1.
	if got := contrast(color.NRGBA{A: 255}, color.NRGBA{255, 255, 255, 255}); math.Abs(got-21) > 0.01 {
		t.Fatalf("black on white: %.2f", got)
	}
	for _, dark := range []bool{false, true} {
		p := theme.Of(dark)
		type pair struct {
			name       string
			fore, back color.NRGBA
			want       float64
		}
		pairs := []pair{
			{"text on background", p.Text, p.Background, 4.5},
			{"text on surface", p.Text, p.Surface, 4.5},
			{"text under the pointer", p.Text, p.Hover, 4.5},
			{"muted on background", p.Muted, p.Background, 4.5},
			{"muted on surface", p.Muted, p.Surface, 4.5},
			{"muted under the pointer", p.Muted, p.Hover, 4.5},
			{"primary button", p.OnPrimary, p.Primary, 4.5},
			{"danger button", p.OnDanger, p.Danger, 4.5},
			{"training band", p.OnTraining, p.Training, 4.5},
			{"border on surface", p.Border, p.Surface, 3},
			{"border on background", p.Border, p.Background, 3},
			{"focus on surface", p.Focus, p.Surface, 3},
			{"focus on background", p.Focus, p.Background, 3},
		}
		for r := model.Plain; r <= model.Muted; r++ {
			c := p.Role(r)
			pairs = append(pairs,
				pair{"role on its tint", c.Fore, c.Tint, 4.5},
				pair{"role on surface", c.Fore, p.Surface, 4.5},
				pair{"role on background", c.Fore, p.Background, 4.5},
				pair{"text on a tint", p.Text, c.Tint, 4.5},
				pair{"muted on a tint", p.Muted, c.Tint, 4.5},
			)
		}
		for _, c := range pairs {
			if got := contrast(c.fore, c.back); got < c.want {
				t.Errorf("dark %v: %s: contrast %.2f, want %.1f (%v on %v)", dark, c.name, got, c.want, c.fore, c.back)
			}
		}
	}
}

// TestLetters looks every letter of Vietnamese up in the fonts that the desk uses.
func TestLetters(t *testing.T) {
	const letters = "aàảãáạăằẳẵắặâầẩẫấậbcdđeèẻẽéẹêềểễếệghiìỉĩíịklmnoòỏõóọôồổỗốộơờởỡớợpqrstuùủũúụưừửữứựvxyỳỷỹýỵ" +
		"AÀẢÃÁẠĂẰẲẴẮẶÂẦẨẪẤẬBCDĐEÈẺẼÉẸÊỀỂỄẾỆGHIÌỈĨÍỊKLMNOÒỎÕÓỌÔỒỔỖỐỘƠỜỞỠỚỢPQRSTUÙỦŨÚỤƯỪỬỮỨỰVXYỲỶỸÝỴ" +
		"fjwzFJWZ0123456789·–—…“”‘’«»<>|/()₫" + "\u0300\u0301\u0303\u0309\u0323"
	for _, style := range []fyne.TextStyle{{}, {Bold: true}} {
		f, err := font.ParseTTF(bytes.NewReader(theme.Theme{}.Font(style).Content()))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range letters {
			if _, ok := f.NominalGlyph(r); !ok {
				t.Errorf("bold %v: no glyph for %q (U+%04X)", style.Bold, r, r)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	for i, want := range []float32{16, 18, 24, 34} {
		if got := theme.Size(i).Points(false); got != want {
			t.Errorf("size %d: got %v, want %v", i, got, want)
		}
		if got := theme.Size(i).Points(true); got < 1.2*want {
			t.Errorf("size %d: large text is %v, not a fifth larger than %v", i, got, want)
		}
		for _, large := range []bool{false, true} {
			// Noto Sans: the baseline is 1.069 of the size below the top of a line that is
			// 1.362 high, and the feet of letters reach 0.24 below it. Drivers round.
			p := float64(theme.Size(i).Points(large))
			if feet, line := math.Ceil(1.069*p)+0.24*p, math.Round(1.362*p); feet > line {
				t.Errorf("size %d, large %v: letters reach %.2f, and the line ends at %v", i, large, feet, line)
			}
			if p != math.Trunc(p) {
				t.Errorf("size %d, large %v: %v is not whole", i, large, p)
			}
		}
	}
	th := theme.Theme{Large: true}
	if got, want := th.Size(fynetheme.SizeNameText), theme.Body.Points(true); got != want {
		t.Errorf("text of fields: got %v, want %v", got, want)
	}
	if th.Size(fynetheme.SizeNameInlineIcon) == 0 {
		t.Error("a size that is Fyne's is lost")
	}
}

func TestColors(t *testing.T) {
	for _, n := range []fyne.ThemeColorName{
		fynetheme.ColorNameBackground, fynetheme.ColorNameForeground, fynetheme.ColorNameInputBackground, fynetheme.ColorNameInputBorder,
		fynetheme.ColorNamePlaceHolder, fynetheme.ColorNamePrimary, fynetheme.ColorNameSelection, fynetheme.ColorNameError,
		fynetheme.ColorNameHover, fynetheme.ColorNameSeparator, fynetheme.ColorNameScrollBar, fynetheme.ColorNameSuccess,
	} {
		l, d := theme.Theme{}.Color(n, 0), theme.Theme{Dark: true}.Color(n, 0)
		if l == nil || d == nil || l == d {
			t.Errorf("%s: light %v, dark %v", n, l, d)
		}
	}
}

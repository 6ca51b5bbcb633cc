// Package theme is how the desk looks: its colours, its type scale and its grid.
//
// Colours are by meaning. The window is calm: white, or nearly black; strong colour is
// only where one of the four answers is. Background and surface are the same colour, so
// that a driver without a graphics card has less than half of the window to fill. Each role of package model has a
// foreground, for words and icons, and a tint behind them. A test computes that every
// pair in use has a contrast of at least 4.5 to 1 (WCAG 2.1, 1.4.3), and 3 to 1 for what
// is no text (1.4.11).
//
// Text has four sizes: 34 for the person and the verdict, 24 for what to do, 18 for
// what is read at the desk, 16 for what is looked up. Large text is a quarter larger.
// Everything stands on a grid of 8 units.
//
// The font is Noto Sans as it comes with Fyne; a test draws every letter of Vietnamese,
// in both ways of writing the marks.
package theme

import (
	"image/color"

	"fyne.io/fyne/v2"
	fynetheme "fyne.io/fyne/v2/theme"

	"github.com/chamthe/chamthe/ui/model"
)

// Unit is the grid: distances are multiples of it, in Fyne's device-independent pixels.
const Unit float32 = 8

// A Size is one of the four sizes of text.
type Size uint8

// The sizes.
const (
	Small   Size = iota // 16
	Body                // 18
	Heading             // 24
	Display             // 34
)

// Whole numbers, because drivers round the width of each letter up; and 16 where the
// design began with 15, because they round the height of a line, too, and would cut the
// feet off g, p and ỵ.
var (
	sizes = [...]float32{16, 18, 24, 34}
	large = [...]float32{20, 23, 30, 42}
)

// Points returns the size of text in Fyne's units.
func (s Size) Points(big bool) float32 {
	i := min(int(s), len(sizes)-1)
	if big {
		return large[i]
	}
	return sizes[i]
}

// A Pair is the colours of a role: Fore on Tint, on Surface and on Background.
type Pair struct{ Fore, Tint color.NRGBA }

// A Palette is all the colours of the desk in one variant.
type Palette struct {
	Background color.NRGBA // of the window
	Surface    color.NRGBA // of panels and fields
	Border     color.NRGBA // round what can be used: 3 to 1
	Line       color.NRGBA // between what only lies side by side
	Text       color.NRGBA
	Muted      color.NRGBA // text that is not needed now
	Primary    color.NRGBA // the one button
	OnPrimary  color.NRGBA
	Danger     color.NRGBA // a button that turns somebody away
	OnDanger   color.NRGBA
	Hover      color.NRGBA // behind a button under the pointer
	Focus      color.NRGBA // ring round what has the focus: 3 to 1
	Training   color.NRGBA // band of the training mode
	OnTraining color.NRGBA
	roles      [6]Pair
}

func rgb(v uint32) color.NRGBA {
	return color.NRGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 0xff}
}

var bright = Palette{
	Background: rgb(0xFFFFFF), Surface: rgb(0xFFFFFF), Border: rgb(0x7C8A86), Line: rgb(0xDDE3E1),
	Text: rgb(0x17211F), Muted: rgb(0x56635F),
	Primary: rgb(0x0B6B57), OnPrimary: rgb(0xFFFFFF), Danger: rgb(0xA61B1B), OnDanger: rgb(0xFFFFFF),
	Hover: rgb(0xE8EEEC), Focus: rgb(0x1D5FD1), Training: rgb(0x5B3A94), OnTraining: rgb(0xFFFFFF),
	roles: [...]Pair{
		model.Plain:   {rgb(0x17211F), rgb(0xFFFFFF)},
		model.Info:    {rgb(0x1A4F8B), rgb(0xE6EFFA)},
		model.Good:    {rgb(0x0A5E3A), rgb(0xE0F3E8)},
		model.Caution: {rgb(0x7A4B00), rgb(0xFFF1D6)},
		model.Bad:     {rgb(0x9B1414), rgb(0xFDE5E3)},
		model.Muted:   {rgb(0x56635F), rgb(0xF0F3F2)},
	},
}

var dark = Palette{
	Background: rgb(0x1A2220), Surface: rgb(0x1A2220), Border: rgb(0x74837F), Line: rgb(0x2E3936),
	Text: rgb(0xEDF2F0), Muted: rgb(0xA9B6B2),
	Primary: rgb(0x5CC9AE), OnPrimary: rgb(0x06231C), Danger: rgb(0xF28B82), OnDanger: rgb(0x2B0705),
	Hover: rgb(0x25302D), Focus: rgb(0x8AB4F8), Training: rgb(0xC4A7F5), OnTraining: rgb(0x1F0F3B),
	roles: [...]Pair{
		model.Plain:   {rgb(0xEDF2F0), rgb(0x1A2220)},
		model.Info:    {rgb(0x9CC4FA), rgb(0x16263C)},
		model.Good:    {rgb(0x7FDCAB), rgb(0x0F2E20)},
		model.Caution: {rgb(0xF7C667), rgb(0x35270A)},
		model.Bad:     {rgb(0xFFA69E), rgb(0x411513)},
		model.Muted:   {rgb(0xA9B6B2), rgb(0x1E2725)},
	},
}

// Of returns the palette for light or for dark rooms.
func Of(isDark bool) *Palette {
	if isDark {
		return &dark
	}
	return &bright
}

// Role returns the colours of a role.
func (p *Palette) Role(r model.Role) Pair { return p.roles[min(int(r), len(p.roles)-1)] }

// Theme is the desk's theme for Fyne's own widgets, which are the fields and scroll
// bars. It is a value: two are the same if their fields are.
type Theme struct {
	Dark  bool
	Large bool
}

var _ fyne.Theme = Theme{}

// Color implements fyne.Theme. The variant of the system is not asked: the desk knows
// by its own setting.
func (t Theme) Color(n fyne.ThemeColorName, _ fyne.ThemeVariant) color.Color {
	p := Of(t.Dark)
	switch n {
	case fynetheme.ColorNameBackground:
		return p.Background
	case fynetheme.ColorNameForeground:
		return p.Text
	case fynetheme.ColorNameInputBackground, fynetheme.ColorNameButton, fynetheme.ColorNameOverlayBackground, fynetheme.ColorNameMenuBackground:
		return p.Surface
	case fynetheme.ColorNameInputBorder:
		return p.Border
	case fynetheme.ColorNamePlaceHolder, fynetheme.ColorNameDisabled:
		return p.Muted
	case fynetheme.ColorNamePrimary, fynetheme.ColorNameFocus:
		return p.Focus
	case fynetheme.ColorNameForegroundOnPrimary:
		return p.Background
	case fynetheme.ColorNameSelection:
		c := p.Focus
		c.A = 0x50
		return c
	case fynetheme.ColorNameHover:
		return p.Hover
	case fynetheme.ColorNameSeparator:
		return p.Line
	case fynetheme.ColorNameScrollBar:
		return p.Border
	case fynetheme.ColorNameScrollBarBackground, fynetheme.ColorNameShadow:
		return color.Transparent
	case fynetheme.ColorNameError:
		return p.Role(model.Bad).Fore
	case fynetheme.ColorNameWarning:
		return p.Role(model.Caution).Fore
	case fynetheme.ColorNameSuccess:
		return p.Role(model.Good).Fore
	}
	v := fynetheme.VariantLight
	if t.Dark {
		v = fynetheme.VariantDark
	}
	return fynetheme.DefaultTheme().Color(n, v)
}

// Font implements fyne.Theme.
func (t Theme) Font(s fyne.TextStyle) fyne.Resource { return fynetheme.DefaultTheme().Font(s) }

// Icon implements fyne.Theme.
func (t Theme) Icon(n fyne.ThemeIconName) fyne.Resource { return fynetheme.DefaultTheme().Icon(n) }

// Size implements fyne.Theme.
func (t Theme) Size(n fyne.ThemeSizeName) float32 {
	switch n {
	case fynetheme.SizeNameText:
		return Body.Points(t.Large)
	case fynetheme.SizeNameCaptionText:
		return Small.Points(t.Large)
	case fynetheme.SizeNameSubHeadingText:
		return Heading.Points(t.Large)
	case fynetheme.SizeNameHeadingText:
		return Display.Points(t.Large)
	case fynetheme.SizeNamePadding:
		return Unit / 2
	case fynetheme.SizeNameInnerPadding:
		return Unit
	case fynetheme.SizeNameInputRadius:
		return Unit / 2
	case fynetheme.SizeNameInputBorder:
		return 2
	case fynetheme.SizeNameScrollBar:
		return Unit
	case fynetheme.SizeNameScrollBarSmall:
		return Unit / 2
	}
	return fynetheme.DefaultTheme().Size(n)
}

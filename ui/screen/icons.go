package screen

import (
	"fmt"
	"image/color"
	"strings"

	"fyne.io/fyne/v2"

	"github.com/chamthe/chamthe/ui/model"
	"github.com/chamthe/chamthe/ui/theme"
)

// Icons are drawn on a square of 24. They differ in outline, not only in colour, so that
// they can be told apart without it.
var icons = map[model.Icon]string{
	model.IconCheck:   `<circle cx="12" cy="12" r="10" fill="C"/><path d="M7 12.5 L10.5 16 L17 8.5" fill="none" stroke="B" stroke-width="2.4"/>`,
	model.IconWarning: `<path d="M12 2 L23 21 L1 21 Z" fill="C"/><path d="M12 9 L12 15" stroke="B" stroke-width="2.4" fill="none"/><circle cx="12" cy="18" r="1.4" fill="B"/>`,
	model.IconStop:    `<path d="M8 2 L16 2 L22 8 L22 16 L16 22 L8 22 L2 16 L2 8 Z" fill="C"/><path d="M8 8 L16 16 M16 8 L8 16" stroke="B" stroke-width="2.4" fill="none"/>`,
	model.IconInfo:    `<rect x="2" y="2" width="20" height="20" rx="4" fill="C"/><path d="M12 11 L12 17" stroke="B" stroke-width="2.4" fill="none"/><circle cx="12" cy="7.5" r="1.5" fill="B"/>`,
	model.IconWait:    `<path d="M5 2 L19 2 L19 5 L13.5 12 L19 19 L19 22 L5 22 L5 19 L10.5 12 L5 5 Z" fill="none" stroke="C" stroke-width="2"/><path d="M8 19.5 L16 19.5 L12 15.5 Z" fill="C"/>`,
	model.IconDot:     `<circle cx="12" cy="12" r="7" fill="none" stroke="C" stroke-width="2"/>`,
	model.IconReader:  `<rect x="2" y="9" width="20" height="12" rx="2" fill="none" stroke="C" stroke-width="2"/><path d="M6 9 L6 3 L18 3 L18 9" fill="none" stroke="C" stroke-width="2"/><circle cx="17.5" cy="17" r="1.5" fill="C"/>`,
	model.IconLink:    `<path d="M5 14 L5 20 M10 10 L10 20 M15 6 L15 20 M20 2 L20 20" stroke="C" stroke-width="2.6" fill="none"/>`,
	model.IconNoLink:  `<path d="M5 14 L5 20 M10 10 L10 20" stroke="C" stroke-width="2.6" fill="none"/><path d="M14 5 L22 13 M22 5 L14 13" stroke="C" stroke-width="2.2" fill="none"/>`,
	model.IconQueue:   `<path d="M3 5 L21 5 M3 12 L21 12 M3 19 L13 19" stroke="C" stroke-width="2.6" fill="none"/>`,
	model.IconPerson:  `<circle cx="12" cy="8" r="5" fill="C"/><path d="M3 22 C3 12 21 12 21 22 Z" fill="C"/>`,
	model.IconShield:  `<path d="M12 1.5 L21 4.5 L21 11 C21 17 17 20.5 12 22.5 C7 20.5 3 17 3 11 L3 4.5 Z" fill="C"/><path d="M7.5 11.5 L11 15 L16.5 8.5" fill="none" stroke="B" stroke-width="2.4"/>`,
	model.IconHeart:   `<rect x="2" y="2" width="20" height="20" rx="5" fill="C"/><path d="M12 6.5 L12 17.5 M6.5 12 L17.5 12" stroke="B" stroke-width="3.4" fill="none"/>`,
	model.IconNote:    `<path d="M4 2 L15 2 L20 7 L20 22 L4 22 Z" fill="none" stroke="C" stroke-width="2"/><path d="M8 11 L16 11 M8 15.5 L16 15.5" stroke="C" stroke-width="2" fill="none"/>`,
}

// icon returns the picture of an icon in the colour fore, with its inner lines in back.
func icon(i model.Icon, fore, back color.NRGBA) fyne.Resource {
	body, ok := icons[i]
	if !ok {
		return nil
	}
	body = strings.NewReplacer(`"C"`, quote(fore), `"B"`, quote(back)).Replace(body)
	return fyne.NewStaticResource(
		fmt.Sprintf("icon-%d-%s-%s.svg", i, hex(fore), hex(back)),
		[]byte(`<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24">`+body+`</svg>`),
	)
}

// The drawings show a hand's work at the desk, on a field of 360 by 240: a citizen card,
// the scanner, the reader, and where the one goes on the other.
const (
	drawCard = `<g transform="T"><rect x="0" y="0" width="150" height="95" rx="8" fill="CARD" stroke="LINE" stroke-width="3"/>` +
		`<rect x="12" y="30" width="34" height="44" rx="3" fill="PHOTO"/><circle cx="29" cy="45" r="9" fill="CARD"/><path d="M15 74 C15 56 43 56 43 74 Z" fill="CARD"/>` +
		`<path d="M58 38 L104 38 M58 52 L98 52 M58 66 L104 66" stroke="PHOTO" stroke-width="5" fill="none"/>` +
		`<path d="M12 15 L90 15" stroke="LINE" stroke-width="5" fill="none"/>` +
		`<rect x="114" y="12" width="26" height="26" fill="LINE"/><rect x="119" y="17" width="6" height="6" fill="CARD"/><rect x="129" y="17" width="6" height="6" fill="CARD"/><rect x="119" y="27" width="6" height="6" fill="CARD"/>` +
		`</g>`
	drawReader = `<path d="M60 226 L80 150 L280 150 L300 226 Z" fill="BOX" stroke="LINE" stroke-width="3"/>` +
		`<path d="M105 212 L116 164 L244 164 L255 212 Z" fill="none" stroke="ACCENT" stroke-width="3"/>` +
		`<path d="M160 200 C160 180 200 180 200 200 M148 206 C148 170 212 170 212 206" fill="none" stroke="ACCENT" stroke-width="4"/>`
)

var drawings = map[model.Drawing]string{
	model.DrawPlace: drawReader + strings.Replace(drawCard, `"T"`, `"translate(105,12)"`, 1) +
		`<path d="M180 112 L180 140" stroke="ACCENT" stroke-width="7" fill="none"/><path d="M164 130 L180 148 L196 130 Z" fill="ACCENT"/>`,
	model.DrawKeep: drawReader + strings.Replace(drawCard, `"T"`, `"translate(105,92)"`, 1) +
		`<path d="M70 120 C55 135 55 155 70 170 M290 120 C305 135 305 155 290 170 M50 105 C28 130 28 160 50 185 M310 105 C332 130 332 160 310 185" fill="none" stroke="ACCENT" stroke-width="5"/>`,
	model.DrawScan: strings.Replace(drawCard, `"T"`, `"translate(160,120)"`, 1) +
		`<path d="M40 30 L100 14 L118 58 L58 76 Z" fill="BOX" stroke="LINE" stroke-width="3"/><path d="M62 74 L88 66 L110 132 L84 142 Z" fill="BOX" stroke="LINE" stroke-width="3"/>` +
		`<path d="M116 44 L270 128 L306 166" fill="none" stroke="ACCENT" stroke-width="4"/><path d="M116 44 L270 166" fill="none" stroke="ACCENT" stroke-width="4"/>` +
		`<rect x="266" y="124" width="42" height="42" fill="none" stroke="ACCENT" stroke-width="5"/>`,
	model.DrawNoReader: drawReader + `<path d="M180 150 L180 96 C180 70 240 90 240 60 L240 44" fill="none" stroke="LINE" stroke-width="5"/>` +
		`<rect x="226" y="14" width="28" height="32" rx="3" fill="BOX" stroke="LINE" stroke-width="3"/><path d="M234 24 L246 24" stroke="ACCENT" stroke-width="4" fill="none"/>` +
		`<path d="M214 66 L266 28" stroke="ACCENT" stroke-width="4" fill="none"/>`,
}

func drawing(d model.Drawing, p *theme.Palette) fyne.Resource {
	body := strings.NewReplacer(
		`"CARD"`, quote(p.Surface), `"LINE"`, quote(p.Text), `"PHOTO"`, quote(p.Border), `"BOX"`, quote(p.Line), `"ACCENT"`, quote(p.Primary),
	).Replace(drawings[d])
	return fyne.NewStaticResource(
		fmt.Sprintf("drawing-%d-%s.svg", d, hex(p.Background)),
		[]byte(`<svg xmlns="http://www.w3.org/2000/svg" width="360" height="240" viewBox="0 0 360 240">`+body+`</svg>`),
	)
}

func hex(c color.NRGBA) string   { return fmt.Sprintf("%02x%02x%02x", c.R, c.G, c.B) }
func quote(c color.NRGBA) string { return `"#` + hex(c) + `"` }

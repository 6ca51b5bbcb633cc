// Fyne draws by OpenGL, which takes cgo on every system.
//go:build cgo

// Chamthe-desk is the receptionist's desk: a window onto the agent of this computer.
//
// It is a client of the agent's local API. Where no agent answers it runs one in its own
// process, as `chamthe run` would. With --demo it needs nothing at all: a software chip, an
// embedded server and the reference central service, and a tray of sample cards to tap.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/app"

	"github.com/chamthe/chamthe/ui"
	"github.com/chamthe/chamthe/ui/i18n"
	"github.com/chamthe/chamthe/ui/model"
	"github.com/chamthe/chamthe/ui/screen"
)

// options are the flags.
type options struct {
	demo      bool
	url       string
	tokenFile string
	config    string
	data      string
	alone     bool
	lang      string
	settings  string
	size      string
	painted   string
}

func main() {
	began := time.Now()
	var o options
	flag.BoolVar(&o.demo, "demo", false, "training: sample cards, an embedded central service, nothing else needed")
	flag.StringVar(&o.url, "agent", "", "`URL` of the agent (default: as the agent's configuration says)")
	flag.StringVar(&o.tokenFile, "token-file", "", "`FILE` with the desk's token (default: as the agent's configuration says)")
	flag.StringVar(&o.config, "config", "", "configuration `FILE` of the agent")
	flag.StringVar(&o.data, "data", "", "`DIR` for everything of an agent in this process")
	flag.BoolVar(&o.alone, "no-agent", false, "start no agent where none answers: wait for one")
	flag.StringVar(&o.lang, "lang", "", "vi or en (default: as set at this desk)")
	flag.StringVar(&o.settings, "settings", "", "`FILE` with this desk's settings (default: in the user's configuration directory)")
	flag.StringVar(&o.size, "size", "1366x768", "size of the window")
	flag.StringVar(&o.painted, "painted", "", "write to this `FILE` after how many milliseconds the window was first painted")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "chamthe-desk: unexpected argument (see -h)")
		os.Exit(2)
	}
	if err := run(o, began); err != nil {
		fmt.Fprintln(os.Stderr, "chamthe-desk:", err)
		os.Exit(1)
	}
}

func run(o options, began time.Time) error {
	var w, h float32
	if _, err := fmt.Sscanf(o.size, "%fx%f", &w, &h); err != nil || w < 200 || h < 200 {
		return errors.New("--size: want WIDTHxHEIGHT")
	}
	file := o.settings
	if file == "" {
		if dir, err := os.UserConfigDir(); err == nil {
			file = filepath.Join(dir, "chamthe", "desk.json")
		}
	}
	set := loadSettings(file)
	if o.lang != "" {
		set.Lang = i18n.Parse(o.lang)
	}

	a := app.NewWithID("com.github.chamthe.desk")
	win := a.NewWindow("chamthe")
	win.SetPadded(false)
	win.SetMaster()
	// Before there is something to draw, so that it is drawn once.
	win.Resize(fyne.NewSize(max(w, screen.Min.Width), max(h, screen.Min.Height)))
	d := &desk{options: o}
	d.ctx, d.stop = context.WithCancel(context.Background())
	cfg := ui.Config{Window: win, Settings: set, Save: func(s model.Settings) { saveSettings(file, s) }, Version: version()}
	if o.demo {
		cfg.Tray, cfg.Tap = trayCards(), d.tap
	}
	d.app = ui.New(cfg)
	win.SetOnClosed(d.stop)

	a.Lifecycle().SetOnStarted(func() {
		if o.painted != "" {
			line := fmt.Sprintf("%d\n", time.Since(began).Milliseconds())
			if err := os.WriteFile(o.painted, []byte(line), 0o600); err != nil {
				fmt.Fprintln(os.Stderr, "chamthe-desk:", err)
			}
		}
		// Only now, so that nothing delays the first picture.
		d.work.Go(func() error { return d.connect(d.app) })
	})
	win.ShowAndRun()
	d.stop()
	d.app.Stop()
	return d.work.Wait()
}

func version() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "devel"
}

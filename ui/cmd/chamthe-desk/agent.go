//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"fyne.io/fyne/v2"
	"golang.org/x/sync/errgroup"

	"github.com/chamthe/chamthe/agent/cli"
	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/config"
	"github.com/chamthe/chamthe/ui"
)

// desk is what runs behind the window.
type desk struct {
	options
	app  *ui.App
	ctx  context.Context
	stop context.CancelFunc
	work errgroup.Group

	mu   sync.Mutex
	demo *demo // nil: none, or not ready
}

// How long an agent of this computer is waited for before one is started here, and how
// long that may take: its data directory may have to be checked.
const (
	probeTime = 2 * time.Second
	startTime = 2 * time.Minute
)

// connect finds an agent or starts one, and has the window use it.
func (d *desk) connect(a *ui.App) error {
	if d.options.demo {
		return d.runDemo(a)
	}
	url, token := d.url, d.tokenFile
	if url == "" || token == "" {
		o := config.Options{File: d.config}
		if d.data != "" {
			o.Flags = map[string]string{"data.dir": d.data, "api.desk_token_file": filepath.Join(d.data, "desk.token")}
		}
		cfg, err := config.Load(o)
		if err != nil {
			return err
		}
		if url == "" {
			url = fmt.Sprintf("http://127.0.0.1:%d", cfg.API.Port)
		}
		if token == "" {
			token = cfg.API.DeskTokenFile
		}
	}
	c := client.NewWithTokenFile(url, token)
	probe, cancel := context.WithTimeout(d.ctx, probeTime)
	err := c.Healthy(probe)
	cancel()
	if err == nil || d.alone || d.ctx.Err() != nil {
		fyne.Do(func() { a.Start(c) })
		return nil
	}
	return d.runAgent(a, token)
}

// runAgent is the agent in this process, until the window is closed.
func (d *desk) runAgent(a *ui.App, token string) error {
	dir, err := os.MkdirTemp("", "chamthe-desk-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	portFile := filepath.Join(dir, "port")
	args := []string{"run", "--port-file", portFile}
	if d.config != "" {
		args = append(args, "--config", d.config)
	}
	if d.data != "" {
		args = append(args, "--data", d.data)
	}
	ended := make(chan int, 1)
	go func() { ended <- cli.Main(d.ctx, args, strings.NewReader(""), io.Discard, os.Stderr) }()
	port, err := waitFile(d.ctx, portFile, ended)
	if err != nil {
		// The window stays, and says that there is no agent: somebody may start one.
		fyne.Do(func() { a.Start(client.NewWithTokenFile("http://127.0.0.1:1", token)) })
		return err
	}
	fyne.Do(func() { a.Start(client.NewWithTokenFile("http://127.0.0.1:"+port, token)) })
	if code := <-ended; code != 0 && d.ctx.Err() == nil {
		return fmt.Errorf("the agent ended with status %d", code)
	}
	return nil
}

var errNoAgent = errors.New("the agent did not start; `chamthe run` and `chamthe doctor` say why")

// waitFile waits until the file has a line, and returns it.
func waitFile(ctx context.Context, file string, ended chan int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		if b, err := os.ReadFile(file); err == nil && strings.HasSuffix(string(b), "\n") {
			return strings.TrimSpace(string(b)), nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case code := <-ended:
			ended <- code
			return "", errNoAgent
		case <-t.C:
		}
	}
}

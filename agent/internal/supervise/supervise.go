// Package supervise runs the services of a program and stops them in order: those
// that take work in first, those that keep it last.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// ErrStuck reports a service that did not stop in time. It still runs; the process
// should end without taking away what the service uses.
var ErrStuck = errors.New("supervise: a service did not stop")

// A Service works until ctx ends and returns nil then, after it has cleaned up. Any
// error means that it cannot go on.
type Service struct {
	Name string // for errors
	Run  func(ctx context.Context) error
}

// A Stage is some services that stop together.
type Stage struct {
	Services []Service
	// Patience is how long they may take to stop; 0 means 10 seconds.
	Patience time.Duration
}

const defaultPatience = 10 * time.Second

// Run runs the services of all stages until ctx ends, or one of them returns. Then
// it stops the stages one after the other, the first one first, each after the one
// before has stopped. It returns the first error of a service, with its name;
// [ErrStuck] if a stage did not stop in time, the later ones being told nevertheless;
// and nil if all went well. A service that returns nil before it was told to is an
// error as well.
//
// Panics are not caught: a state that nobody foresaw is no state to go on from.
func Run(ctx context.Context, stages ...Stage) error {
	asked, failed := context.WithCancelCause(context.WithoutCancel(ctx))
	defer failed(nil)
	defer context.AfterFunc(ctx, func() { failed(nil) })()

	type running struct {
		stop context.CancelFunc
		done chan error
		left chan string // names of the services that have ended
	}
	var all []running
	for _, stage := range stages {
		// Values of ctx, but not its end: stages end one by one.
		work, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		var group errgroup.Group
		r := running{stop, make(chan error, 1), make(chan string, len(stage.Services))}
		for _, s := range stage.Services {
			group.Go(func() error {
				err := s.Run(work)
				if err == nil && work.Err() == nil {
					err = errors.New("ended by itself")
				}
				if err != nil {
					err = fmt.Errorf("%s: %w", s.Name, err)
					failed(err)
				}
				r.left <- s.Name
				return err
			})
		}
		go func() { r.done <- group.Wait() }()
		all = append(all, r)
	}
	<-asked.Done()
	var first, stuck error
	if err := context.Cause(asked); !errors.Is(err, context.Canceled) {
		first = err
	}
	for i, r := range all {
		r.stop()
		patience := stages[i].Patience
		if patience <= 0 {
			patience = defaultPatience
		}
		timer := time.NewTimer(patience)
		select {
		case err := <-r.done:
			if first == nil {
				first = err
			}
		case <-timer.C:
			waiting := map[string]bool{}
			for _, s := range stages[i].Services {
				waiting[s.Name] = true
			}
			for len(r.left) > 0 {
				delete(waiting, <-r.left)
			}
			var names []string
			for _, s := range stages[i].Services {
				if waiting[s.Name] {
					names = append(names, s.Name)
				}
			}
			stuck = errors.Join(stuck, fmt.Errorf("%w: %s", ErrStuck, strings.Join(names, ", ")))
		}
		timer.Stop()
	}
	return errors.Join(first, stuck)
}

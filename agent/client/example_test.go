package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/chamthe/chamthe/agent/client"
	"github.com/chamthe/chamthe/agent/wire"
)

// A program of the hospital checks a person in with what its scanner read.
func ExampleClient_Start() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := client.New("http://127.0.0.1:9786", "chamthe_...")
	checkin, err := c.Start(ctx, wire.Start{Key: &wire.Key{Scan: "..."}, Reference: "K-17"})
	var e *client.Error
	if errors.As(err, &e) && e.Status == 409 {
		fmt.Println("another check-in is running") // somebody else's; try again later
		return
	}
	if err != nil {
		log.Print(err)
		return
	}
	for event, err := range c.Events(ctx) {
		switch {
		case err != nil:
			continue // it is opened again
		case event.Type == wire.EventMissed:
			if checkin, err = c.Get(ctx, checkin.ID); err != nil {
				return
			}
		case event.CheckIn != nil && event.CheckIn.ID == checkin.ID:
			checkin = *event.CheckIn
		}
		if checkin.State == wire.StateConfirm || wire.Ended(checkin.State) {
			break
		}
	}
	if checkin.Person != nil && checkin.Person.Verified {
		fmt.Println("verified") // and show the operator who it is
	}
}

// A program asks for its token once, and keeps it where only it can read it.
func ExampleClient_RequestPairing() {
	ctx := context.Background()
	c := client.New("http://127.0.0.1:9786", "")
	p, err := c.RequestPairing(ctx, wire.PairingRequest{Name: "Lab"})
	if err != nil {
		log.Print(err) // no agent here
		return
	}
	var code string
	fmt.Print("The code that the desk shows: ")
	if _, err := fmt.Scanln(&code); err != nil {
		return
	}
	token, err := c.Token(ctx, p.ID, code)
	if err != nil {
		log.Print(err)
		return
	}
	c = client.New("http://127.0.0.1:9786", token.Token)
	_ = c
}

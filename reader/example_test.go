package reader_test

import (
	"context"
	"fmt"

	"github.com/chamthe/chamthe/reader"
	"github.com/chamthe/chamthe/reader/readertest"
	"github.com/chamthe/chamthe/reader/virtual"
)

// A service watches readers until its context ends, and takes every card that
// comes.
func ExampleHub() {
	hands := virtual.New("Desk 0")
	h, err := reader.OpenHub(reader.HubConfig{Sources: []reader.Source{{Name: "virtual", Driver: hands}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()

	ctx := context.Background()
	s := h.Subscribe(0)
	defer s.Close()
	for range 2 {
		c, err := s.Next(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		switch c.Kind {
		case reader.Snapshot:
			fmt.Println("readers:", len(c.Devices))
			if err := hands.Insert("Desk 0", readertest.NewChip()); err != nil { // somebody lays a card on it
				fmt.Println(err)
			}
		case reader.CardInserted:
			card, err := h.Take(ctx, c.Device.Name)
			if err != nil {
				fmt.Println(err)
				return
			}
			resp, err := card.Transmit(ctx, []byte{0x00, 0xA4, 0x04, 0x0C})
			fmt.Printf("%X %v\n", resp, err)
			card.Close()
		}
	}
	// Output:
	// readers: 1
	// 6E00 <nil>
}

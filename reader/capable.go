package reader

import "context"

// Capable is implemented by a [Card] whose reader can say what it bears.
// [CapabilitiesOf] asks any card.
type Capable interface {
	// Capabilities returns what the reader says of itself. It is an exchange
	// with the reader, never with the chip, which it leaves as it is; it takes
	// its turn among the exchanges of the card and returns the same errors.
	// What the reader does not tell stays zero: a reader without any of these
	// features is not an error.
	Capabilities(ctx context.Context) (Capabilities, error)
}

// Capabilities are what a reader says of itself. Zero values mean that it does
// not say.
type Capabilities struct {
	// MaxAPDU is the most response data in bytes that the reader says it
	// carries in one APDU. A value of 1 to 256 says that it takes short commands
	// only (PC/SC part 10, dwMaxAPDUDataSize). More is a claim.
	MaxAPDU int
	// Extended means that the reader is known to carry commands of extended
	// length: its driver is of this program and does it, so nobody's word is
	// taken for it.
	Extended bool

	// Name and Firmware are what the maker calls the device and its software.
	Name, Firmware string
	// VendorID and ProductID are the USB ids (PC/SC part 10, wIdVendor and
	// wIdProduct).
	VendorID, ProductID uint16

	// BitRate is the speed towards the card in kbit/s, where the reader tells.
	BitRate int

	// UID and ATS are the contactless card's identifier and answer to select
	// (PC/SC part 3, GET DATA). A UID may be the same for ever and follow a
	// person: never log it, never store it.
	UID, ATS []byte
}

// CapabilitiesOf asks the reader that c lies on. A card whose driver has no
// way to ask gives zero capabilities.
func CapabilitiesOf(ctx context.Context, c Card) (Capabilities, error) {
	if capable, ok := c.(Capable); ok {
		return capable.Capabilities(ctx)
	}
	return Capabilities{}, nil
}

// Package reader is the seam between the agent and the devices that talk to
// chip cards.
//
// A [Driver] knows a family of readers (PC/SC, serial modules, readers that
// exist in this process only). It lists them, waits until something changes,
// and opens the card that lies on one of them. A [Card] exchanges APDUs. Its
// Transmit method has the shape that the protocol packages ask for, so this
// package need not know any card protocol, and does not.
//
// Three rules hold for every driver, and package readertest checks them:
//
//   - An exchange that has begun is finished. No reader interface can take an
//     APDU back, so a context is looked at before an exchange, never during it;
//     only waiting for a card is cut short. Every driver bounds the time of one
//     exchange by itself, so a stuck reader cannot hold a caller for ever.
//   - What happened to the card is told by one of the errors of this package,
//     to be matched with errors.Is. No error holds bytes of a command or of a
//     response.
//   - A card has one owner. Opening a card that is in use returns [ErrSharing],
//     and an opened card is always freshly reset: no session of an earlier
//     owner is left on it.
//
// A [Hub] makes one list of the readers of several drivers and keeps it for
// months: it survives services that stop, readers that vanish and drivers that
// hang, even in the middle of an exchange, tells what changes, ranks readers,
// knows who has a card, and remembers in a [LimitStore] what a reader and a kind
// of card bear together. Package readertest runs the same suite over a hub.
//
// Left out: contactless activation parameters. What a reader says of itself
// comes through [Capable]; escape commands stay within the drivers.
package reader

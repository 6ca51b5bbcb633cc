// Package checkin goes from a tap to a recorded visit: it binds the
// inspection to the visit, lets policy decide, asks for the entitlement, and
// puts the signed visit into the outbox. A visit counts as recorded only when
// the outbox says that it is on disk.
package checkin

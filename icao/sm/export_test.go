package sm

import "github.com/chamthe/chamthe/icao/apdu"

// Wrap protects a command, for tests that look at one direction alone.
func (c *Channel) Wrap(cmd apdu.Command) apdu.Command { return c.wrap(cmd) }

// Unwrap verifies a response, as Do does.
func (c *Channel) Unwrap(r apdu.Response) (apdu.Response, error) { return c.unwrap(r) }

// SSC returns the send sequence counter, nil when the channel is broken.
func (c *Channel) SSC() []byte {
	if c.secrets == nil {
		return nil
	}
	return c.secrets().ssc
}

package chip

import "github.com/chamthe/chamthe/icao/apdu"

type paceVariant struct{}
type paceRun struct{}
type caVariant struct{}

func newPACEVariant(p *PACE) (*paceVariant, error)           { return nil, nil }
func newCAVariant(p *ChipAuthentication) (*caVariant, error) { return nil, nil }
func (c *Chip) manageSecurityEnvironment(in command) response {
	return status(apdu.InstructionNotSupported)
}
func (c *Chip) generalAuthenticate(in command) response { return status(apdu.InstructionNotSupported) }

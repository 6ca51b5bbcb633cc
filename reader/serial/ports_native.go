//go:build linux || windows || cgo

package serial

import (
	"fmt"

	"go.bug.st/serial/enumerator"
)

// enumerate asks the system. Only this part of go.bug.st/serial is used:
// tarm/serial cannot list ports.
func enumerate() ([]PortInfo, error) {
	list, err := enumerator.GetDetailedPortsList()
	if err != nil {
		return nil, fmt.Errorf("serial: list ports: %w", err)
	}
	ports := make([]PortInfo, 0, len(list))
	for _, p := range list {
		if p == nil || p.Name == "" {
			continue // the board has the port and no device uses it
		}
		ports = append(ports, newPortInfo(p.Name, p.VID, p.PID, p.Product))
	}
	return ports, nil
}

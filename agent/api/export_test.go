package api

import "slices"

// Patterns returns "METHOD /path" of every route.
func Patterns(s *Server) (list []string) {
	for p := range s.routes {
		list = append(list, p)
	}
	slices.Sort(list)
	return list
}

// DecodeJSON, DecodeClients, ValidOrigin and ValidName are what takes foreign bytes.
var (
	DecodeJSON    = decodeJSON
	DecodeClients = decodeClients
	ValidOrigin   = validOrigin
	ValidClient   = validClient
)

// Connections and streams that are taken at once, and what a pairing allows.
const (
	Connections = connections
	StreamsEach = streamsEach
	PairTime    = pairTime
	MaxBody     = maxBody
	MaxGranted  = maxGranted
	AskingBurst = askingBurst
)

// Package api is the agent's local HTTP API, version 1: JSON of agent/wire, an
// event stream, an OpenAPI document and a page for integrators. README.md beside
// this file is for those who call it.
//
// Who may call is decided in this order, and nothing later repairs what an
// earlier step refused:
//
//   - The connection comes from a loopback address and the Host header names
//     this very listener, so that a name which an attacker has resolve to
//     127.0.0.1 (DNS rebinding) leads nowhere.
//   - A request with an Origin is from a web page, and the origin must be one that
//     a token was given to. One without, but with another trace of a browser
//     (Sec-Fetch-*, Referer), is refused. Only where the browser itself says
//     "same-origin" is the origin known without the header.
//   - The token must be known, and given to exactly this origin, or, if it is the
//     desk's or a program's, there must be no browser at all. So a stolen token
//     does not work from another page.
//   - The route must be open to the caller: history, queue, doctor, operators and
//     tokens belong to the desk. A check-in is seen by the one who began it, and
//     by the desk.
//
// A program on this computer can forge every header. Against it there is the
// token alone, whose file only the desk's users may read.
package api

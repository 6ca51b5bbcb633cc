package api

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed page/try.html page/try.js page/try.css page/try.svg
var pageFiles embed.FS

//go:embed openapi.json
var openAPIDocument []byte

// OpenAPI returns the OpenAPI 3.1 document of the API. The slice is the caller's.
func OpenAPI() []byte { return append([]byte(nil), openAPIDocument...) }

// pagePolicy lets a page run its own files and call this agent, and nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// pageRoutes serve the page for integrators.
func pageRoutes() []*route {
	var list []*route
	for _, p := range []struct{ path, file, kind string }{
		{"/try", "page/try.html", "text/html; charset=utf-8"},
		{"/try.js", "page/try.js", "text/javascript; charset=utf-8"},
		{"/try.css", "page/try.css", "text/css; charset=utf-8"},
		{"/try.svg", "page/try.svg", "image/svg+xml"},
	} {
		list = append(list, &route{method: http.MethodGet, path: p.path, access: forPages, serve: func(c *call) error {
			b, err := fs.ReadFile(pageFiles, p.file)
			if err != nil {
				return err
			}
			c.w.Header().Set("Content-Type", p.kind)
			c.w.Header().Set("Content-Security-Policy", pagePolicy)
			_, _ = c.w.Write(b)
			return nil
		}})
	}
	return list
}

func (s *Server) openAPI(c *call) error {
	c.w.Header().Set("Content-Type", "application/json")
	_, _ = c.w.Write(openAPIDocument)
	return nil
}

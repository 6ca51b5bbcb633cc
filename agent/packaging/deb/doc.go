// Package deb has no Go code: these are the scripts of the Debian package, tested with
// the system's commands replaced by ones that note what they are asked.
package deb

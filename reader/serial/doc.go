// Package serial is to be documented.
package serial

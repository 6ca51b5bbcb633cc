package ui

// DecodePhoto decodes a photo.
var DecodePhoto = decodePhoto

// Package mediatype knows the media types of files by their extensions, and the Content-Type of a response whose handler has set none
// (RFC 9110 §8.3). It only reads a table, and is safe for concurrent use. Start reading at ByName.
package mediatype

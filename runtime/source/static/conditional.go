package static

import "fapws/runtime/http1"

// verdict is the result of the preconditions of a request.
type verdict uint8

const (
	send               verdict = iota // 200, or 206 if a range is asked for
	notModified                       // 304
	preconditionFailed                // 412
)

// judge evaluates the preconditions in the order of RFC 9110 §13.2.2.
func (r *representation) judge(req *Request, f *fields) verdict {
	if f.ifMatch {
		if !anyField(req, "if-match", func(value []byte) bool { return matchesTag(value, r.etag, false) }) {
			return preconditionFailed
		}
	} else if f.ifUnmodifiedSince.set && r.dated {
		if since, ok := parseDate(f.ifUnmodifiedSince.value); ok && r.modified > since {
			return preconditionFailed
		}
	}
	if f.ifNoneMatch {
		if anyField(req, "if-none-match", func(value []byte) bool { return matchesTag(value, r.etag, true) }) {
			return notModified
		}
	} else if f.ifModifiedSince.set && r.dated {
		// Nearly always it is the date we have sent.
		if string(f.ifModifiedSince.value) == r.lastModified {
			return notModified
		}
		if since, ok := parseDate(f.ifModifiedSince.value); ok && r.modified <= since {
			return notModified
		}
	}
	return send
}

// rangeApplies evaluates If-Range (RFC 9110 §13.1.5): without it, or if the
// client has a part of this very representation.
func (r *representation) rangeApplies(f *fields) bool {
	if !f.ifRange.set {
		return true
	}
	value := f.ifRange.value
	if len(value) > 0 && value[0] == '"' {
		return len(r.etag) > 0 && string(value) == string(r.etag)
	}
	return r.dated && string(value) == r.lastModified // a date counts when it is exactly ours; a weak tag never
}

// matchesTag looks for our entity tag in a list of them (RFC 9110 §13.1.1 and
// §13.1.2). "*" stands for any, which there is. Our tags are strong, so the
// comparisons differ in whether a weak one of the client's can be equal.
func matchesTag(list, etag []byte, weakToo bool) bool {
	for {
		for len(list) > 0 && (list[0] == ' ' || list[0] == '\t' || list[0] == ',') {
			list = list[1:]
		}
		if len(list) == 0 {
			return false
		}
		if list[0] == '*' {
			return true
		}
		weak := len(list) > 2 && list[0] == 'W' && list[1] == '/'
		if weak {
			list = list[2:]
		}
		end := tagEnd(list)
		if end == 0 {
			return false // no tag, so the rest cannot be told apart, either
		}
		if (!weak || weakToo) && string(list[:end]) == string(etag) {
			return true
		}
		list = list[end:]
	}
}

// tagEnd returns the length of the quoted tag at the beginning of s, or 0.
func tagEnd(s []byte) int {
	if s[0] != '"' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		if s[i] == '"' {
			return i + 1
		}
	}
	return 0
}

func parseDate(value []byte) (unix int64, ok bool) { return http1.ParseDate(value) }

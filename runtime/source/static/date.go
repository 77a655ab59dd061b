package static

import "fapws/runtime/http1"

func parseDate(value []byte) (unix int64, ok bool) { return http1.ParseDate(value) }

package upload

import (
	"slices"
	"strings"

	"fapws/runtime/auth"
	"fapws/runtime/backend"
	"fapws/runtime/exchange"
)

// permit returns an error if a page of another site has sent the request. That page has no access to the user's cookies
// and passwords, but the browser may have added them to the request.
func (u *Upload) permit(r *backend.Request) error {
	if !u.allows(r.Field("Origin")) && auth.FromElsewhere(r.Head, r.Parsed.Fields, r.Host()) {
		return refuse(403, "pages of other sites may not upload")
	}
	return nil
}

func (u *Upload) allows(origin string) bool {
	return slices.ContainsFunc(u.options.Origins, func(one string) bool {
		return one == "*" || origin != "" && strings.EqualFold(one, origin)
	})
}

// readable lists the response fields that scripts from Options.Origins may read.
const readable = "Location, Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, Upload-Expires, Upload-Length, " +
	"Upload-Metadata, Upload-Offset"

// share adds the response fields with which a browser permits scripts from Options.Origins to read the response to r
// (CORS, Fetch standard §3.3). share does not permit the browser to send cookies or passwords with such requests.
func (u *Upload) share(w *backend.ResponseWriter, r *backend.Request) {
	if len(u.options.Origins) == 0 {
		return
	}
	w.Add("Vary: Origin\r\n")
	if origin := r.Field("Origin"); origin != "" && u.allows(origin) {
		w.Add("Access-Control-Allow-Origin: " + origin + "\r\nAccess-Control-Expose-Headers: " + readable + "\r\n")
	}
}

// answersPreflight responds to a CORS preflight request, with which a browser asks whether a script may send a request.
// answersPreflight reports whether r is such a request.
func (u *Upload) answersPreflight(w *backend.ResponseWriter, r *backend.Request) bool {
	if r.Method() != "OPTIONS" || r.Field("Access-Control-Request-Method") == "" || !u.allows(r.Field("Origin")) {
		return false
	}
	fields := "Access-Control-Allow-Methods: " + u.methods() + "\r\nAccess-Control-Max-Age: 7200\r\n"
	if names := r.Field("Access-Control-Request-Headers"); names != "" {
		fields += "Access-Control-Allow-Headers: " + names + "\r\n"
	}
	w.Start(exchange.Head{Status: 204, Fields: []byte(fields), Length: 0})
	return true
}

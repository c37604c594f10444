package awsstandin

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxBody bounds what one call may send.
const maxBody = 64 << 20

// readArguments finds out the action and its arguments, each service by its protocol.
func (r *request) readArguments() error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.http.Body, maxBody))
	if err != nil {
		return err
	}
	switch r.service {
	case "sts", "cloudformation":
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return err
		}
		r.action = values.Get("Action")
		values.Del("Action")
		values.Del("Version")
		r.arguments = query(values)
	case "ssm", "ecr", "ecs", "logs", "cloudtrail":
		// The target is the service's name for its API, with a dot or two, and the action.
		target := r.http.Header.Get("X-Amz-Target")
		r.action = target[strings.LastIndex(target, ".")+1:]
		return json.Unmarshal(body, &r.arguments)
	case "s3":
		r.action = s3Action(r.http)
		r.arguments = query(r.http.URL.Query())
		// The SDK's name of the operation, which means nothing to the service.
		r.indifferent("x-id")
		r.body, err = s3Body(r.http, body)
		return err
	default:
		r.action = r.http.Method + " " + r.http.URL.Path
	}
	return nil
}

// s3Body takes the content out of its chunks: an upload of unknown checksum comes with its checksum behind it.
func s3Body(hr *http.Request, body []byte) ([]byte, error) {
	if !strings.Contains(hr.Header.Get("Content-Encoding"), "aws-chunked") {
		return body, nil
	}
	var content []byte
	for {
		line, rest, found := bytes.Cut(body, []byte("\r\n"))
		size, _, _ := strings.Cut(string(line), ";")
		length, err := strconv.ParseUint(size, 16, 31)
		if !found || err != nil || uint64(len(rest)) < length {
			return nil, fmt.Errorf("chunk %q of %s does not hold what it says", line, hr.URL.Path)
		}
		if length == 0 {
			break
		}
		content = append(content, rest[:length]...)
		body = bytes.TrimPrefix(rest[length:], []byte("\r\n"))
	}
	if want := hr.Header.Get("X-Amz-Decoded-Content-Length"); want != strconv.Itoa(len(content)) {
		return nil, fmt.Errorf("%s holds %d bytes, not %s", hr.URL.Path, len(content), want)
	}
	return content, nil
}

// element is a result that has a name of its own in XML.
type element struct {
	name  string
	value any
}

func writeResult(w http.ResponseWriter, r *request, result any) {
	switch r.service {
	case "ssm", "ecr", "ecs", "logs", "cloudtrail":
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		json.NewEncoder(w).Encode(result)
	case "s3":
		w.Header().Set("Content-Type", "application/xml")
		if named, ok := result.(element); ok {
			encodeXML(w, named.name, named.value)
		}
	default:
		w.Header().Set("Content-Type", "text/xml")
		var inner bytes.Buffer
		encodeXML(&inner, r.action+"Result", result)
		fmt.Fprintf(w, "<%sResponse>%s<ResponseMetadata><RequestId>standin</RequestId></ResponseMetadata></%[1]sResponse>", r.action, inner.Bytes())
	}
}

func encodeXML(w io.Writer, name string, value any) {
	if value == nil {
		value = struct{}{}
	}
	// Only the package's own result types come here, which can be encoded, and a writer that fails has lost its reader.
	xml.NewEncoder(w).EncodeElement(value, xml.StartElement{Name: xml.Name{Local: name}})
}

func writeError(w http.ResponseWriter, r *request, e *apiError) {
	switch r.service {
	case "ssm", "ecr", "ecs", "logs", "cloudtrail":
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(e.status)
		json.NewEncoder(w).Encode(map[string]string{"__type": e.code, "message": e.message})
	case "s3":
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(e.status)
		encodeXML(w, "Error", errorBody{Code: e.code, Message: e.message})
	default:
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(e.status)
		encodeXML(w, "ErrorResponse", struct{ Error errorBody }{errorBody{"Sender", e.code, e.message}})
	}
}

type errorBody struct {
	Type    string `xml:",omitempty"`
	Code    string
	Message string
}

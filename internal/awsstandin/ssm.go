package awsstandin

import (
	"fmt"
	"net/http"
)

func (s *Server) getParameter(r *request) (any, error) {
	name := r.text("Name")
	r.indifferent("WithDecryption")
	value, found := s.parameter(name)
	if !found {
		return nil, &apiError{"ParameterNotFound", fmt.Sprintf("Parameter %s not found.", name), http.StatusBadRequest}
	}
	return map[string]any{"Parameter": map[string]any{"Name": name, "Type": "String", "Value": value}}, nil
}

// parameter returns the value of a parameter that a stack has made.
func (s *Server) parameter(name string) (string, bool) {
	r := s.find("AWS::SSM::Parameter", name)
	if r == nil {
		return "", false
	}
	return fmt.Sprint(r.properties["Value"]), true
}

// The errors of the CNI specification, as a runtime reads them from stdout.
//
// **Invariant:** a message names the variable or the field that is wrong and what was expected of it.
package main

import "strings"

const (
	codeVersion     = 1
	codeEnvironment = 4
	codeIO          = 5
	codeDecode      = 6
	codeConfig      = 7
	codeTryAgain    = 11
	// From 100 on they are the plugin's own.
	codeRefused       = 100
	codeNotProgrammed = 101
)

const newest = "1.1.0"

var supported = []string{"0.4.0", "1.0.0", newest}

func supportedList() string {
	return strings.Join(supported, ", ")
}

// cniError is printed as JSON.
type cniError struct {
	CNIVersion string `json:"cniVersion"`
	Code       int    `json:"code"`
	Msg        string `json:"msg"`
	Details    string `json:"details,omitempty"`
	// The time was over; or nobody answered at all.
	late bool
	away bool
}

func failed(cniVersion string, code int, msg string, details string) *cniError {
	return &cniError{CNIVersion: cniVersion, Code: code, Msg: msg, Details: details}
}

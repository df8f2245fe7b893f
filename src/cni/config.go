// The network configuration on stdin: the plugin's own settings, and prevResult, what the plugins before it did.
//
// **Invariant:** a value that is not understood is an error that names the field; fields of others are left alone.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

const (
	usualSocket     = "/run/picket/agent.sock"
	usualTimeout    = 10 * time.Second
	shortestTimeout = 100 * time.Millisecond
	longestTimeout  = time.Minute
	longestSocket   = 107
)

type config struct {
	CNIVersion string          `json:"cniVersion"`
	Name       string          `json:"name"`
	Type       string          `json:"type"`
	Socket     string          `json:"socket"`
	Timeout    string          `json:"timeout"`
	OnTimeout  string          `json:"onTimeout"`
	PrevResult json.RawMessage `json:"prevResult"`
	timeout    time.Duration
	allow      bool
}

func readConfig(input []byte) (*config, *cniError) {
	found := config{Socket: usualSocket, OnTimeout: "fail", timeout: usualTimeout}
	if err := json.Unmarshal(input, &found); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return nil, failed(versionOf(found.CNIVersion), codeConfig, fmt.Sprintf("%s: found a JSON %s, expected a string", wrong.Field, wrong.Value), "")
		}
		return nil, failed(newest, codeDecode, "stdin: expected a network configuration as a JSON object", err.Error())
	}
	if !isSupported(found.CNIVersion) {
		return nil, failed(newest, codeVersion, fmt.Sprintf("cniVersion: found %q, expected one of %s", found.CNIVersion, supportedList()), "")
	}
	wrong := func(field, value, expected string) *cniError {
		return failed(found.CNIVersion, codeConfig, fmt.Sprintf("%s: found %q, expected %s", field, value, expected), "")
	}
	if found.Name == "" {
		return nil, failed(found.CNIVersion, codeConfig, "name: found nothing, expected the network's name", "")
	}
	if !strings.HasPrefix(found.Socket, "/") || len(found.Socket) > longestSocket {
		return nil, wrong("socket", found.Socket, fmt.Sprintf("an absolute path of at most %d characters", longestSocket))
	}
	if found.Timeout != "" {
		timeout, err := time.ParseDuration(found.Timeout)
		if err != nil || timeout < shortestTimeout || timeout > longestTimeout {
			return nil, wrong("timeout", found.Timeout, "a duration of 100ms to 60s such as 10s")
		}
		found.timeout = timeout
	}
	if found.OnTimeout != "fail" && found.OnTimeout != "allow" {
		return nil, wrong("onTimeout", found.OnTimeout, "fail or allow")
	}
	found.allow = found.OnTimeout == "allow"
	return &found, nil
}

func isSupported(cniVersion string) bool {
	for _, one := range supported {
		if one == cniVersion {
			return true
		}
	}
	return false
}

// versionOf is what an error says where the configuration's own version is none.
func versionOf(cniVersion string) string {
	if isSupported(cniVersion) {
		return cniVersion
	}
	return newest
}

// given is what prevResult says of the pod.
type given struct {
	// As it is to be printed.
	result []byte
	// Without their lengths, link-local ones left out.
	addresses []string
	// Those without a sandbox.
	hostInterfaces []string
}

type networkInterface struct {
	Name    string `json:"name"`
	Sandbox string `json:"sandbox"`
}

type address struct {
	Address   string `json:"address"`
	Interface *int   `json:"interface"`
}

// previous reads prevResult, which `command` needs.
func (c *config) previous(command string) (*given, *cniError) {
	wrong := func(field, found, expected string) *cniError {
		return failed(c.CNIVersion, codeConfig, fmt.Sprintf("prevResult%s: found %s, expected %s", field, found, expected), "")
	}
	if len(c.PrevResult) == 0 || string(c.PrevResult) == "null" {
		return nil, failed(c.CNIVersion, codeConfig, fmt.Sprintf("prevResult: found nothing, which %s needs", command),
			"picket-cni is a chained plugin: its entry stands behind the plugin that gives pods their addresses, in the plugins of one conflist")
	}
	raw := map[string]json.RawMessage{}
	if err := json.Unmarshal(c.PrevResult, &raw); err != nil {
		return nil, wrong("", "no JSON object", "the result of the plugins before this one")
	}
	var interfaces []networkInterface
	if err := unmarshal(raw["interfaces"], &interfaces); err != nil {
		return nil, wrong(".interfaces", err.Error(), "a list of interfaces with name and sandbox")
	}
	var addresses []address
	if err := unmarshal(raw["ips"], &addresses); err != nil {
		return nil, wrong(".ips", err.Error(), "a list of addresses with address and interface")
	}
	found := &given{addresses: []string{}, hostInterfaces: []string{}}
	for _, one := range interfaces {
		if one.Sandbox == "" && ifnameForm.MatchString(one.Name) {
			found.hostInterfaces = append(found.hostInterfaces, one.Name)
		}
	}
	for i, one := range addresses {
		ip, _, err := net.ParseCIDR(one.Address)
		if err != nil {
			return nil, wrong(fmt.Sprintf(".ips[%d].address", i), fmt.Sprintf("%q", one.Address), "an address with its length, such as 10.0.0.5/24")
		}
		if one.Interface != nil {
			index := *one.Interface
			if index < 0 || index >= len(interfaces) {
				return nil, wrong(fmt.Sprintf(".ips[%d].interface", i), fmt.Sprint(index), fmt.Sprintf("an index of the %d interfaces", len(interfaces)))
			}
			if interfaces[index].Sandbox == "" {
				continue
			}
		}
		if !ip.IsLinkLocalUnicast() {
			found.addresses = append(found.addresses, ip.String())
		}
	}
	result, err := c.passedOn(raw)
	if err != nil {
		return nil, wrong(".ips", err.Error(), "a list of addresses")
	}
	found.result = result
	return found, nil
}

// passedOn is prevResult in the configuration's version: until 0.4.0 each address says its family, later none does.
func (c *config) passedOn(raw map[string]json.RawMessage) ([]byte, error) {
	raw["cniVersion"], _ = json.Marshal(c.CNIVersion)
	var ips []map[string]json.RawMessage
	if err := unmarshal(raw["ips"], &ips); err != nil {
		return nil, err
	}
	for _, one := range ips {
		delete(one, "version")
		if c.CNIVersion == "0.4.0" {
			family := `"4"`
			if strings.Contains(string(one["address"]), ":") {
				family = `"6"`
			}
			one["version"] = json.RawMessage(family)
		}
	}
	if ips != nil {
		raw["ips"], _ = json.Marshal(ips)
	}
	return json.Marshal(raw)
}

// unmarshal leaves `to` as it is where there is nothing.
func unmarshal(from json.RawMessage, to interface{}) error {
	if len(from) == 0 {
		return nil
	}
	return json.Unmarshal(from, to)
}

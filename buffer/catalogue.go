package buffer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/millgate/millgate/collector/kpi"
	"github.com/millgate/millgate/drivers"
)

// Catalogue is all that is static about the site: the version that a block's tags are named by. It must not change once its Hash
// was taken.
type Catalogue struct {
	V          int               `json:"v"` // 1
	Site       string            `json:"site"`
	Name       string            `json:"name,omitempty"`
	Enterprise string            `json:"enterprise,omitempty"`
	Region     string            `json:"region,omitempty"`
	Gateway    string            `json:"gateway"`
	Timezone   string            `json:"timezone"`
	Devices    []CatalogueDevice `json:"devices"`
	KPI        *kpi.Config       `json:"kpi,omitempty"` // equipment, calendar, accounts; nil if the site has none
}

// CatalogueDevice is one device with its tags; the first is always "up".
type CatalogueDevice struct {
	ID       string         `json:"id"`
	Name     string         `json:"name,omitempty"`
	Protocol string         `json:"protocol"`      // modbus, opcua, or manual: people enter its readings
	Map      string         `json:"map,omitempty"` // name@version of the library map, empty for points of the site's own
	Tags     []CatalogueTag `json:"tags"`
}

// CatalogueTag is one tag as subscribers and auditors must know it.
type CatalogueTag struct {
	Name       string   `json:"name"`
	Label      string   `json:"label,omitempty"`
	Unit       string   `json:"unit,omitempty"`        // UCUM
	Kind       string   `json:"kind"`                  // drivers.Kind
	Type       string   `json:"type"`                  // drivers.Type
	Interval   int64    `json:"interval_ms,omitempty"` // 0 for "up"
	Deadband   *float64 `json:"deadband,omitempty"`    // present: only changes larger than this are stored
	MaxSilence int64    `json:"max_silence_ms,omitempty"`
	Source     string   `json:"source,omitempty"` // "manual": people enter it; empty: it is read from the device

	States     map[int64]drivers.EventText `json:"states,omitempty"`     // what the codes mean; of a bool 0 and 1
	Alarms     map[uint8]CatalogueAlarm    `json:"alarms,omitempty"`     // by bit, the lowest being 0
	Modulus    float64                     `json:"modulus,omitempty"`    // the value at which a counter begins again, in the tag's unit; 0: not said
	Resolution float64                     `json:"resolution,omitempty"` // the smallest step, in the tag's unit; 0: not said
}

// CatalogueAlarm is what is wrong while a bit of the tag's value is set.
type CatalogueAlarm struct {
	Severity drivers.Severity `json:"severity"`
	drivers.EventText
}

// UpTag is the tag that every device has, at the head of its list: whether it answers.
func UpTag() CatalogueTag { return CatalogueTag{Name: "up", Kind: "state", Type: "bool"} }

// Tags makes one Tag per catalogue tag, indexed in catalogue order. It fails on a kind or type that this version does not know.
func (c *Catalogue) Tags() ([]*drivers.Tag, error) {
	var tags []*drivers.Tag
	for _, d := range c.Devices {
		for _, t := range d.Tags {
			kind, okKind := drivers.ParseKind(t.Kind)
			typ, okType := drivers.ParseType(t.Type)
			if !okKind || !okType {
				return nil, fmt.Errorf("catalogue: tag %s/%s has the unknown kind %q or type %q", d.ID, t.Name, t.Kind, t.Type)
			}
			tags = append(tags, &drivers.Tag{Device: d.ID, Name: t.Name, Index: len(tags), Unit: t.Unit, Kind: kind, Type: typ})
		}
	}
	return tags, nil
}

// JSON is the catalogue as it is hashed, stored and published.
func (c *Catalogue) JSON() []byte {
	text, err := json.Marshal(c)
	if err != nil { // a deadband is finite: it was read from a decimal
		panic(err)
	}
	return text
}

// Hash is the first 16 bytes of the SHA-256 of JSON, as 32 hex digits.
func (c *Catalogue) Hash() string { return hashOf(c.JSON()) }

func hashOf(catalogueJSON []byte) string {
	sum := sha256.Sum256(catalogueJSON)
	return hex.EncodeToString(sum[:hashSize])
}

// catalogue is a version in use: what decoding a block needs.
type catalogue struct {
	hash    string
	json    []byte
	tags    []*drivers.Tag
	devices []string       // ids in order
	index   map[string]int // device id → position in devices
}

func newCatalogue(text []byte) (*catalogue, error) {
	var c Catalogue
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	tags, err := c.Tags()
	if err != nil {
		return nil, err
	}
	v := &catalogue{hash: hashOf(text), json: text, tags: tags, index: make(map[string]int, len(c.Devices))}
	for i, d := range c.Devices {
		v.devices = append(v.devices, d.ID)
		v.index[d.ID] = i
	}
	return v, nil
}

package buffer

import "github.com/millgate/millgate/drivers"

// Catalogue is all that is static about the site: the version that a block's tags are named by.
type Catalogue struct {
	V          int               `json:"v"` // 1
	Site       string            `json:"site"`
	Name       string            `json:"name,omitempty"`
	Enterprise string            `json:"enterprise,omitempty"`
	Region     string            `json:"region,omitempty"`
	Gateway    string            `json:"gateway"`
	Timezone   string            `json:"timezone"`
	Devices    []CatalogueDevice `json:"devices"`
}

// CatalogueDevice is one device with its tags; the first is always "up".
type CatalogueDevice struct {
	ID       string         `json:"id"`
	Name     string         `json:"name,omitempty"`
	Protocol string         `json:"protocol"`      // modbus
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
}

// UpTag is the tag that every device has, at the head of its list: whether it answers.
func UpTag() CatalogueTag { return CatalogueTag{Name: "up", Kind: "state", Type: "bool"} }

// Tags makes one Tag per catalogue tag, indexed in catalogue order.
func (c *Catalogue) Tags() ([]*drivers.Tag, error) { panic("stub") }

// JSON is the catalogue as it is hashed, stored and published.
func (c *Catalogue) JSON() []byte { panic("stub") }

// Hash is the first 16 bytes of the SHA-256 of JSON, as 32 hex digits.
func (c *Catalogue) Hash() string { panic("stub") }

"""The errors of the Atlas v2 API: one exception, one table of codes.

HTTP status, code and message are Atlas' own (`AtlasErrorCode`); clients tell answers apart by the code. Note that a
missing mandatory attribute is a 404, not a 400.
"""
from __future__ import annotations

from typing import Dict, Tuple

INVALID_PARAMETERS = "ATLAS-400-00-01A"
INVALID_VALUES = "ATLAS-404-00-007"
REFERENCE_NOT_FOUND = "ATLAS-404-00-00A"

CODES: Dict[str, Tuple[int, str]] = {
    "ATLAS-400-00-00A": (400, "{0} is not a valid type name"),
    "ATLAS-400-00-00C": (400, "{0}.{1}: can not add mandatory attribute"),
    "ATLAS-400-00-00D": (400, "{0}.{1}: attribute delete not supported"),
    "ATLAS-400-00-00E": (400, "superType remove not supported - type: {0}, superType(s): {1}"),
    "ATLAS-400-00-012": (400, "Cardinality of attribute {0}.{1} requires a list or set type"),
    "ATLAS-400-00-013": (400, "Type {0} has no unique attribute {1}"),
    "ATLAS-400-00-014": (400, "Type {0} with name {1} does not exist"),
    "ATLAS-400-00-019": (400, "{0}: invalid name for type {1}; a letter, then letters, digits, '_' or spaces"),
    INVALID_PARAMETERS: (400, "invalid parameters: {0}"),
    "ATLAS-400-00-021": (400, "ObjectId is not valid {0}"),
    "ATLAS-400-00-023": (400, "Attribute {0} not found for type {1}"),
    "ATLAS-400-00-027": (400, "Attribute {0} of type {1} can not be updated by guid: neither primitive nor reference"),
    "ATLAS-400-00-028": (400, "invalid value: {0}"),
    "ATLAS-400-00-029": (400, "Given typename {0} was invalid"),
    "ATLAS-400-00-02C": (400, "relationshipDef {0}: end definition missing"),
    "ATLAS-400-00-02D": (400, "relationshipDef {0}: both ends are containers"),
    "ATLAS-400-00-02F": (400, "relationshipDef {0}: attribute {1} of type {2} is not primitive"),
    "ATLAS-400-00-030": (400, "relationshipDef {0}: an ASSOCIATION has no container end"),
    "ATLAS-400-00-031": (400, "relationshipDef {0}: a COMPOSITION needs a container end"),
    "ATLAS-400-00-032": (400, "relationshipDef {0}: an AGGREGATION needs a container end"),
    "ATLAS-400-00-033": (400, "relationshipDef {0}: the contained end of a COMPOSITION has cardinality SINGLE"),
    "ATLAS-400-00-034": (400, "relationshipDef {0}: an end can not have cardinality LIST"),
    "ATLAS-400-00-035": (400, "relationshipDef {0}: end type {1} does not exist"),
    "ATLAS-400-00-036": (400, "invalid relationshipDef: {0}: end type 1: {1}, end type 2: {2}"),
    "ATLAS-400-00-037": (400, "relationshipDef {0}: end definitions can not be changed"),
    "ATLAS-400-00-038": (400, "relationshipDef {0}: relationshipCategory can not be changed from {1} to {2}"),
    "ATLAS-400-00-045": (400, "{0}.{1}: entity of type {2} can not be referenced, expected {3}"),
    "ATLAS-400-00-046": (400, "Given classification {0} was invalid"),
    "ATLAS-400-00-07D": (400, "relationship {0}: both ends are needed"),
    "ATLAS-400-00-09E": (400, "Type {0}: attribute {1} is inherited from unrelated types {2}"),
    "ATLAS-400-00-102": (400, "{0} is a reserved word and can not be a type name"),
    "ATLAS-404-00-001": (404, "Given typename {0} was invalid"),
    "ATLAS-404-00-002": (404, "Given type guid {0} was invalid"),
    "ATLAS-404-00-005": (404, "Given instance guid {0} is invalid/not found"),
    INVALID_VALUES: (404, "Invalid instance creation/updation parameters passed : {0}"),
    "ATLAS-404-00-009": (404, "Instance {0} with unique attribute {1} does not exist"),
    REFERENCE_NOT_FOUND: (404, "Referenced entity {0} is not found"),
    "ATLAS-404-00-00C": (404, "Given relationship guid {0} is invalid/not found"),
    "ATLAS-404-00-00F": (404, "Attempting to delete a relationship which is already deleted : {0}"),
    "ATLAS-404-00-011": (404, "Given instance guid {0} of type {1} has no lineage: neither DataSet nor Process"),
    "ATLAS-400-00-069": (404, "relationship {0}: its type can not be changed from {1} to {2}"),
    "ATLAS-400-00-06A": (404, "relationship {0}: its ends can not be changed"),
    "ATLAS-409-00-001": (409, "Given type {0} already exists"),
    "ATLAS-409-00-002": (409, "Given type {0} has references"),
    "ATLAS-409-00-004": (409, "relationship {0} already exists between entities {1} and {2}"),
    "ATLAS-409-00-005": (409, "Given type {0} has relationship definitions: {1}"),
    "RequestUriNotFound": (404, "No route for {0}"),
    "Forbidden": (403, "{0}"),
    "Unauthorized": (401, "{0}"),
    "ATLAS-500-00-001": (500, "Internal server error {0}"),
}


class CatalogError(Exception):
    """A refused request: `status` (HTTP), `code` (a key of `CODES`) and `message`."""

    def __init__(self, code: str, *values: object) -> None:
        self.code = code
        self.status, template = CODES[code]
        self.message = template.format(*values)
        super().__init__(f"{self.code}: {self.message}")

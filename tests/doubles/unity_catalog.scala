// Unity Catalog's V2 catalog: names of three parts, tables under an opaque folder.
package com.databricks.sql.managedcatalog

import java.util
import java.util.concurrent.ConcurrentHashMap
import com.databricks.sql.transaction.tahoe.catalog.DeltaTableV2
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.catalyst.TableIdentifier
import org.apache.spark.sql.catalyst.catalog.{CatalogStorageFormat, CatalogTable, CatalogTableType}
import org.apache.spark.sql.connector.catalog._
import org.apache.spark.sql.connector.expressions.Transform
import org.apache.spark.sql.types.StructType
import org.apache.spark.sql.util.CaseInsensitiveStringMap

class UnityCatalogV2Proxy extends TableCatalog {
  private var catalog = ""
  private var root = ""
  private val tables = new ConcurrentHashMap[Identifier, Table]()

  override def name(): String = catalog
  override def initialize(name: String, options: CaseInsensitiveStringMap): Unit = {
    catalog = name
    root = options.get("root")
  }
  override def listTables(namespace: Array[String]): Array[Identifier] = tables.keySet().toArray(Array[Identifier]())
  override def loadTable(ident: Identifier): Table = {
    val table = tables.get(ident)
    if (table == null) throw doubles.NoTable(ident)
    table
  }
  override def createTable(
      ident: Identifier, schema: StructType, partitions: Array[Transform],
      properties: util.Map[String, String]): Table = {
    val location = Option(properties.get("location")).getOrElse(s"$root/tables/id-of-${ident.name()}")
    val storage = CatalogStorageFormat.empty.copy(locationUri = Some(new Path(location).toUri))
    val table = DeltaTableV2(new Path(location), Some(CatalogTable(
      TableIdentifier(ident.name(), ident.namespace().lastOption), CatalogTableType.MANAGED, storage, schema)), schema)
    tables.put(ident, table)
    table
  }
  override def alterTable(ident: Identifier, changes: TableChange*): Table = loadTable(ident)
  override def dropTable(ident: Identifier): Boolean = tables.remove(ident) != null
  override def renameTable(from: Identifier, to: Identifier): Unit = tables.put(to, tables.remove(from))
}

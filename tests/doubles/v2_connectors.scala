// Stand-ins for V2 connectors: tables with the documented class names and names, empty reads, writes that forget.

package adb.doubles {

  import java.util
  import org.apache.spark.sql.catalyst.InternalRow
  import org.apache.spark.sql.connector.catalog.{SupportsRead, SupportsWrite, Table, TableCapability, TableProvider}
  import org.apache.spark.sql.connector.expressions.Transform
  import org.apache.spark.sql.connector.read._
  import org.apache.spark.sql.connector.read.streaming.{MicroBatchStream, Offset}
  import org.apache.spark.sql.connector.write._
  import org.apache.spark.sql.connector.write.streaming.{StreamingDataWriterFactory, StreamingWrite}
  import org.apache.spark.sql.types.StructType
  import org.apache.spark.sql.util.CaseInsensitiveStringMap

  case class Count(value: Long) extends Offset {
    override def json(): String = value.toString
  }

  case class OneRow() extends InputPartition

  case class OneRowReader() extends PartitionReaderFactory {
    override def createReader(partition: InputPartition): PartitionReader[InternalRow] =
      new PartitionReader[InternalRow] {
        private var left = 1
        override def next(): Boolean = { left -= 1; left >= 0 }
        override def get(): InternalRow = InternalRow(1L, org.apache.spark.unsafe.types.UTF8String.fromString("a"))
        override def close(): Unit = ()
      }
  }

  class Forget extends DataWriter[InternalRow] {
    override def write(row: InternalRow): Unit = ()
    override def commit(): WriterCommitMessage = new WriterCommitMessage {}
    override def abort(): Unit = ()
    override def close(): Unit = ()
  }

  case class Forgetting() extends DataWriterFactory with StreamingDataWriterFactory {
    override def createWriter(partition: Int, task: Long): DataWriter[InternalRow] = new Forget
    override def createWriter(partition: Int, task: Long, epoch: Long): DataWriter[InternalRow] = new Forget
  }

  abstract class V2Table(val options: Map[String, String]) extends Table with SupportsRead with SupportsWrite {
    override def schema(): StructType = Rows.schema
    override def capabilities(): util.Set[TableCapability] = util.EnumSet.of(
      TableCapability.BATCH_READ, TableCapability.BATCH_WRITE, TableCapability.MICRO_BATCH_READ,
      TableCapability.STREAMING_WRITE, TableCapability.TRUNCATE, TableCapability.ACCEPT_ANY_SCHEMA)

    override def newScanBuilder(options: CaseInsensitiveStringMap): ScanBuilder = new ScanBuilder {
      override def build(): Scan = new Scan {
        override def readSchema(): StructType = Rows.schema
        override def toBatch: Batch = new Batch {
          override def planInputPartitions(): Array[InputPartition] = Array(OneRow())
          override def createReaderFactory(): PartitionReaderFactory = OneRowReader()
        }
        override def toMicroBatchStream(checkpoint: String): MicroBatchStream = new MicroBatchStream {
          override def initialOffset(): Offset = Count(0)
          override def latestOffset(): Offset = Count(1)
          override def deserializeOffset(json: String): Offset = Count(json.toLong)
          override def commit(end: Offset): Unit = ()
          override def stop(): Unit = ()
          override def planInputPartitions(start: Offset, end: Offset): Array[InputPartition] = Array(OneRow())
          override def createReaderFactory(): PartitionReaderFactory = OneRowReader()
        }
      }
    }

    override def newWriteBuilder(info: LogicalWriteInfo): WriteBuilder = new WriteBuilder with SupportsTruncate {
      override def truncate(): WriteBuilder = this
      override def buildForBatch(): BatchWrite = new BatchWrite {
        override def createBatchWriterFactory(info: PhysicalWriteInfo): DataWriterFactory = Forgetting()
        override def commit(messages: Array[WriterCommitMessage]): Unit = ()
        override def abort(messages: Array[WriterCommitMessage]): Unit = ()
      }
      override def buildForStreaming(): StreamingWrite = new StreamingWrite {
        override def createStreamingWriterFactory(info: PhysicalWriteInfo): StreamingDataWriterFactory = Forgetting()
        override def commit(epoch: Long, messages: Array[WriterCommitMessage]): Unit = ()
        override def abort(epoch: Long, messages: Array[WriterCommitMessage]): Unit = ()
      }
    }
  }

  abstract class V2Provider(make: util.Map[String, String] => Table) extends TableProvider {
    override def inferSchema(options: CaseInsensitiveStringMap): StructType = Rows.schema
    override def getTable(schema: StructType, partitioning: Array[Transform], properties: util.Map[String, String]): Table =
      make(properties)
    override def supportsExternalMetadata(): Boolean = true
  }
}

package org.apache.spark.sql.kafka010 {

  import adb.doubles.{V2Provider, V2Table}
  import org.apache.spark.sql.SQLContext

  class KafkaTable extends V2Table(Map.empty) {
    override def name(): String = "KafkaTable"
  }

  class KafkaSourceProvider extends V2Provider(_ => new KafkaTable)

  class KafkaRelation(context: SQLContext, sourceOptions: Map[String, String]) extends adb.doubles.Relation(context) {
    override def toString: String = sourceOptions.keys.mkString
  }

  /** Kafka was read as a batch through a V1 relation in older Sparks. */
  package old {
    class DefaultSource extends adb.doubles.Provider {
      override def createRelation(context: SQLContext, options: Map[String, String]): KafkaRelation =
        new KafkaRelation(context, options)
    }
  }
}

package com.azure.cosmos.spark {

  import adb.doubles.{V2Provider, V2Table}

  class ItemsTable(account: String, database: String, container: String) extends V2Table(Map.empty) {
    override def name(): String = s"com.azure.cosmos.spark.items.$account.$database.$container"
  }

  class CosmosItemsDataSource extends V2Provider(options => new ItemsTable(
    new java.net.URI(options.get("spark.cosmos.accountEndpoint")).getHost.split("\\.")(0),
    options.get("spark.cosmos.database"), options.get("spark.cosmos.container")))
}

package com.mongodb.spark.sql.connector {

  import adb.doubles.{V2Provider, V2Table}

  class MongoTable extends V2Table(Map.empty) {
    override def name(): String = "MongoTable()"
  }

  class MongoTableProvider extends V2Provider(_ => new MongoTable)
}

package org.example.unheard {

  import adb.doubles.{V2Provider, V2Table}

  class NamedTable(own: java.util.Map[String, String]) extends V2Table(Map.empty) {
    override def name(): String = "named"
    override def properties(): java.util.Map[String, String] = own
  }

  /** A connector that names its dataset itself, through OpenLineage's table properties. */
  class NamedSource extends V2Provider(options => new NamedTable(options))

  class MysteryTable extends V2Table(Map.empty) {
    override def name(): String = "mystery"
  }

  class MysterySource extends V2Provider(_ => new MysteryTable)
}

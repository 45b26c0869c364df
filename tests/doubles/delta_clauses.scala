// The clauses of Delta's MERGE; Delta keeps them in Spark's own package.
package org.apache.spark.sql.catalyst.plans.logical

import org.apache.spark.sql.catalyst.expressions.{Expression, UnaryExpression, Unevaluable}
import org.apache.spark.sql.types.{DataType, NullType}

case class DeltaMergeAction(targetColNameParts: Seq[String], expr: Expression, targetColNameResolved: Boolean = true)
  extends UnaryExpression with Unevaluable {
  override def child: Expression = expr
  override def dataType: DataType = expr.dataType
  protected def withNewChildInternal(newChild: Expression): DeltaMergeAction = copy(expr = newChild)
}

trait DeltaMergeIntoClause extends Expression with Unevaluable {
  def condition: Option[Expression]
  def actions: Seq[Expression]
  override def children: Seq[Expression] = condition.toSeq ++ actions
  override def nullable: Boolean = false
  override def dataType: DataType = NullType
  protected def withNewChildrenInternal(newChildren: IndexedSeq[Expression]): Expression = this
}
trait DeltaMergeIntoMatchedClause extends DeltaMergeIntoClause
trait DeltaMergeIntoNotMatchedClause extends DeltaMergeIntoClause
trait DeltaMergeIntoNotMatchedBySourceClause extends DeltaMergeIntoClause

case class DeltaMergeIntoMatchedUpdateClause(condition: Option[Expression], actions: Seq[Expression])
  extends DeltaMergeIntoMatchedClause
case class DeltaMergeIntoMatchedDeleteClause(condition: Option[Expression]) extends DeltaMergeIntoMatchedClause {
  override def actions: Seq[Expression] = Nil
}
case class DeltaMergeIntoNotMatchedInsertClause(condition: Option[Expression], actions: Seq[Expression])
  extends DeltaMergeIntoNotMatchedClause
case class DeltaMergeIntoNotMatchedBySourceUpdateClause(condition: Option[Expression], actions: Seq[Expression])
  extends DeltaMergeIntoNotMatchedBySourceClause
case class DeltaMergeIntoNotMatchedBySourceDeleteClause(condition: Option[Expression])
  extends DeltaMergeIntoNotMatchedBySourceClause {
  override def actions: Seq[Expression] = Nil
}

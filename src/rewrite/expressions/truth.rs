//! Truth: SQLite asks it of numbers, PostgreSQL of booleans only.

use super::Translator;
use super::operand::Class;
use crate::schema::{BinaryOperator, Expr};

impl Translator<'_> {
    /// Translates what SQLite asks the truth of: a number is true unless it is 0.
    pub(super) fn truth(&self, expr: &Expr) -> Result<Expr, String> {
        match expr {
            Expr::Integer(number) => Ok(Expr::Boolean(*number != 0)),
            Expr::Case { branches, otherwise } => {
                let branches = branches
                    .iter()
                    .map(|(when, then)| Ok((self.truth(when)?, self.truth(then)?)))
                    .collect::<Result<_, String>>()?;
                let otherwise = match otherwise {
                    Some(otherwise) => Some(Box::new(self.truth(otherwise)?)),
                    None => None,
                };
                let branches: Vec<(Expr, Expr)> = branches;
                let mut results = branches.iter().map(|(_, then)| then).chain(otherwise.as_deref());
                if results.all(|result| *result == Expr::Null) {
                    return Ok(Expr::Null);
                }
                Ok(Expr::Case { branches, otherwise })
            }
            Expr::Call { function, arguments } if matches!(function.as_str(), "coalesce" | "ifnull") => {
                let arguments = arguments.iter().map(|argument| self.truth(argument)).collect::<Result<Vec<_>, _>>()?;
                if arguments.iter().all(|argument| *argument == Expr::Null) {
                    return Ok(Expr::Null);
                }
                Ok(Expr::call("coalesce", arguments))
            }
            Expr::Call { function, arguments } if function == "iif" && arguments.len() == 3 => {
                let branches = vec![(arguments[0].clone(), arguments[1].clone())];
                self.truth(&Expr::Case { branches, otherwise: Some(Box::new(arguments[2].clone())) })
            }
            _ => {
                let operand = self.operand(expr)?;
                match operand.class {
                    Class::Boolean | Class::Null => Ok(operand.expr),
                    class if class.is_number() => {
                        Ok(Expr::binary(BinaryOperator::NotEqual, operand.expr, Expr::Integer(0)))
                    }
                    class => Err(format!("SQLite would read {} as a number to tell true from false", class.shown())),
                }
            }
        }
    }
}
